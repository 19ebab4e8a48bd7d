// Small real matrices on bits of a tile's index.
//
// A step that acts on lanes reads each of its columns from a shuffle of the vector, and its matrix has another row in each
// lane: 2^k products a vector wherever the bits are. A dense matrix on two digits may come as stages too
// (`qdist_kernels/stages.py`): four matrices of 4 × 4 side by side, again and again, which is a third of the products.
// Bits of theirs that are in lanes trade places with others for that time.

#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "lanes.h"
#include "places.h"

namespace qdist {

constexpr int kMaxStepBits = 6;

enum Kind : int32_t { kDiagonal, kThree, kFull };

constexpr int kBlocks = 4, kBlockSize = 4, kStageBits = 4, kStageNumbers = kBlocks * kBlockSize * kBlockSize;

// A part of a stage, as it is written in the program: from four entries of a group to four.
struct Block {
  int32_t kind, columns[kBlockSize], rows[kBlockSize];
};

// One step of a pass, as it is written in the program: its bits are those of the tile's own index.
template <class T>
struct Step {
  bool diagonal;
  int count;            // bits
  const int32_t* at;    // descending: the first is the most significant of the matrix's index
  const T* numbers;     // (2^count)^2, row by row, or 2^count; then 16 for each block of the stages
  int stages;           // 0 if there are none
  const Block* blocks;  // four of each stage
};

// Groups of 2^(Count-Low) vectors that are done together: what they share (the matrix) is read once. The sums of a block
// of rows stay in registers; at least kSums of them hide the latency of a product.
constexpr int kSums = 8;
constexpr int together_bits(int64_t rows) { return rows >= 4 ? 1 : rows == 2 ? 2 : 3; }
constexpr int64_t together(int64_t rows) { return int64_t{1} << together_bits(rows); }

// Rows of the block that begins at `first`; of 16, as many as leave two registers for the entries and one for a factor.
constexpr int64_t rows_of_block(int64_t rows, int64_t first) {
  if (rows == 16) return first == 0 ? 6 : 5;
  return std::min<int64_t>(rows, kSums / together(rows));
}

// A stage made ready: blocks sorted by kind, of which the first ones are `diagonal`, those up to `three` have a factor and
// nine numbers; and where their entries are, in the tile or between two stages.
struct Stage {
  int diagonal = 0, three = 0;
  int64_t from[kBlocks][kBlockSize], to[kBlocks][kBlockSize];
};

// Groups of 16 vectors that take a stage together: what they share is read once, and a vector is half a line of the cache.
constexpr int kHeldBits = kVectorBytes == 64 ? 1 : kVectorBytes == 32 ? 2 : 3, kHeldTogether = 1 << kHeldBits;

// The vectors of some groups on their way to where stages find them, or back: the lanes of `Mask` trade places with the
// lowest bits of a group's index.
template <class T>
using Move = void (*)(T* const* at, const int64_t* offsets, typename Lanes<T>::Aligned* held, bool back);

template <class T, int Mask>
void move(T* const* at, const int64_t* offsets, typename Lanes<T>::Aligned* held, bool back) {
  constexpr int kVectors = 1 << __builtin_popcount(Mask);
  for (int first = 0; first < 1 << kStageBits; first += kVectors)
    for (int g = 0; g < kHeldTogether; ++g) {
      typename Lanes<T>::Aligned some[kVectors], *there = held + first * kHeldTogether + g;
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v)
        some[v] = back ? there[v * kHeldTogether] : load(at[g] + offsets[first + v]);
      exchange_all<T, Mask>(some);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v)
        if (back)
          store(at[g] + offsets[first + v], some[v]);
        else
          there[v * kHeldTogether] = some[v];
    }
}

template <class T, int Mask = 1>
Move<T> move_of(int lanes) {
  if (lanes == Mask) return move<T, Mask>;
  if constexpr (Mask + 1 < Lanes<T>::kCount) return move_of<T, Mask + 1>(lanes);
  return nullptr;
}

// A step made ready for a tile: where its columns are, and its matrix spread over lanes.
template <class T>
struct Ready {
  using L = Lanes<T>;
  bool diagonal;
  bool scalar = false;
  int count;
  int low = 0;      // bits of the step in lanes
  int64_t skipped;  // the step's bits above the lanes
  Place<T> place;
  std::vector<Stage> stages;
  bool stays = false;  // whether its only stage has the same entries in the rows and the columns of each block
  Move<T> move = nullptr;  // where stages act on what bits of the step in lanes have traded places for
  std::vector<int64_t> offsets;
  std::vector<int64_t> lines;  // of the cache, in which the groups are that are done together
  std::vector<typename L::Mask> masks;     // for each value of the low bits: where a lane finds its column
  std::vector<typename L::Aligned> spread;  // [block of rows][column][row], or [row] of a diagonal
  std::vector<T> plain;                     // the same, where it has no bits in lanes
  const T* numbers;
  std::vector<T> own;  // if they are in another order than in the program

  // Its columns differ in these bits.
  void reaches(const int32_t* at, int many) {
    offsets = offsets_of(at, many);
    skipped = offsets.back();
    for (int64_t& offset : offsets) offset = place(offset);
  }
};

// `first` and `last` say where the entries of the step's first columns and last rows are.
template <class T>
Stage make_stage(const Block* blocks, const int64_t* first, const int64_t* last) {
  Stage stage;
  for (int b = 0; b < kBlocks; ++b) {
    stage.diagonal += blocks[b].kind == kDiagonal;
    stage.three += blocks[b].kind != kFull;
    for (int k = 0; k < kBlockSize; ++k) {
      const int32_t column = blocks[b].columns[k], row = blocks[b].rows[k];
      stage.from[b][k] = first ? first[column] : column * kHeldTogether;
      stage.to[b][k] = last ? last[row] : row * kHeldTogether;
    }
  }
  return stage;
}

// Makes the stages of a step ready. A group has 16 vectors: their bits are the step's, descending, and in the place of
// those in lanes the lowest others above the lanes, of which the tile must have enough.
template <class T>
void make_staged(Ready<T>& ready, const Step<T>& step) {
  std::vector<int32_t> sorted(step.at, step.at + step.count);
  std::sort(sorted.rbegin(), sorted.rend());
  std::vector<int32_t> at = sorted;
  int lanes = 0, bit = Lanes<T>::kBits;
  for (int k = step.count - 1; k >= 0 && sorted[k] < Lanes<T>::kBits; --k, ++bit) {
    while (std::find(sorted.begin(), sorted.end(), bit) != sorted.end()) ++bit;
    lanes |= 1 << sorted[k];
    at[k] = bit;
  }
  ready.reaches(at.data(), step.count);
  ready.move = move_of<T>(lanes);
  std::vector<int32_t> ranks;  // how many of its bits lie below each
  for (int k = 0; k < step.count; ++k)
    ranks.push_back(sorted.end() - std::find(sorted.begin(), sorted.end(), step.at[k]) - 1);
  std::vector<int64_t> places = offsets_of(ranks.data(), step.count);  // of each value of the bits as the step has them
  for (int64_t& place : places) place = ready.move ? place * kHeldTogether : ready.offsets[place];
  for (int k = 0; k < step.stages; ++k)
    ready.stages.push_back(make_stage<T>(step.blocks + k * kBlocks, k == 0 ? places.data() : nullptr,
                                         k + 1 == step.stages ? places.data() : nullptr));
  ready.stays = step.stages == 1 && !ready.move;
  ready.numbers = step.numbers + (int64_t{1} << 2 * kStageBits);
}

// The numbers of a step for its bits in another order, of which `from` says where each was.
template <class T>
std::vector<T> reordered(const Step<T>& step, const std::vector<int>& from) {
  const int64_t rows = int64_t{1} << step.count;
  std::vector<int32_t> bits;
  for (const int place : from) bits.push_back(step.count - 1 - place);
  const std::vector<int64_t> old = offsets_of(bits.data(), step.count);
  std::vector<T> numbers;
  for (int64_t row = 0; row < rows; ++row) {
    if (step.diagonal) numbers.push_back(step.numbers[old[row]]);
    for (int64_t column = 0; column < rows && !step.diagonal; ++column)
      numbers.push_back(step.numbers[old[row] * rows + old[column]]);
  }
  return numbers;
}

// Where the lines of the cache begin in which some groups are, the first of which begins at 0.
template <class T>
std::vector<int64_t> lines_of(const Ready<T>& ready, int64_t groups) {
  constexpr int64_t kLine = 64 / sizeof(T);
  std::vector<int64_t> lines;
  int64_t start = 0;
  for (int64_t group = 0; group < groups; ++group) {
    for (const int64_t offset : ready.offsets) lines.push_back((ready.place(start) + offset) / kLine * kLine);
    start = next(start, ready.skipped, Lanes<T>::kCount);
  }
  std::sort(lines.begin(), lines.end());
  lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
  return lines;
}

template <class T>
Ready<T> make_ready(Step<T> step, int tile_bits, Place<T> place, const Trade<T>& trade) {
  using L = Lanes<T>;
  Ready<T> ready;
  ready.place = place;
  std::vector<int32_t> at(step.at, step.at + step.count);
  for (int32_t& bit : at) bit = trade(bit);
  step.at = at.data();
  ready.diagonal = step.diagonal;
  ready.count = step.count;
  if (step.stages && tile_bits >= L::kBits + kStageBits + kHeldBits) {
    make_staged(ready, step);
    return ready;
  }
  const bool in_lanes = *std::min_element(at.begin(), at.end()) < L::kBits;
  if (in_lanes && !std::is_sorted(at.rbegin(), at.rend())) {  // bits in lanes must be the last ones
    std::vector<int> from(step.count);
    for (int k = 0; k < step.count; ++k) from[k] = k;
    std::sort(from.begin(), from.end(), [&](int a, int b) { return at[a] > at[b]; });
    ready.own = reordered(step, from);
    step.numbers = ready.own.data();
    std::sort(at.rbegin(), at.rend());
  }
  ready.numbers = step.numbers;
  const int64_t columns = int64_t{1} << step.count;
  while (ready.low < step.count && step.at[step.count - 1 - ready.low] < L::kBits) ++ready.low;
  const int high = step.count - ready.low;
  if (tile_bits - L::kBits - high < (step.diagonal ? 0 : together_bits(int64_t{1} << high))) {
    ready.scalar = true;
    ready.reaches(step.at, step.count);
    return ready;
  }
  ready.reaches(step.at, high);
  const int32_t* lane_bits = step.at + high;
  std::vector<int64_t> lane_value(L::kCount, 0);  // of the step's low bits
  int64_t lane_mask = 0;
  for (int k = 0; k < ready.low; ++k) lane_mask |= int64_t{1} << lane_bits[k];
  for (int lane = 0; lane < L::kCount; ++lane)
    for (int k = 0; k < ready.low; ++k)
      lane_value[lane] = lane_value[lane] * 2 + (lane >> lane_bits[k] & 1);
  const std::vector<int64_t> lane_offsets = offsets_of(lane_bits, ready.low);
  for (const int64_t own : lane_offsets) ready.masks.push_back(mask_of<T>(own, ~lane_mask));
  const int64_t rows = int64_t{1} << high;
  if (step.diagonal) {
    for (int64_t row = 0; row < rows; ++row) {
      typename L::Aligned factor;
      for (int lane = 0; lane < L::kCount; ++lane) factor[lane] = step.numbers[(row << ready.low) + lane_value[lane]];
      ready.spread.push_back(factor);
    }
    return ready;
  }
  ready.lines = lines_of(ready, together(rows));
  for (int64_t first = 0, block = 0; first < rows; first += block) {
    block = rows_of_block(rows, first);
    for (int64_t column = 0; column < columns; ++column)
      for (int64_t row = first; row < first + block; ++row) {
        typename L::Aligned entry;
        for (int lane = 0; lane < L::kCount; ++lane)
          entry[lane] = step.numbers[((row << ready.low) + lane_value[lane]) * columns + column];
        if (ready.low)
          ready.spread.push_back(entry);
        else
          ready.plain.push_back(entry[0]);
      }
  }
  return ready;
}

template <int Count, int Low>
struct Shape {
  static constexpr int kColumns = 1 << Count, kRows = 1 << (Count - Low);
  static constexpr int kTogether = together(kRows);
  static constexpr int kAhead = std::max(1, 16 / kRows);  // times so many groups take as long as memory does
};

// The rows of a block, from `first` on.
template <int Rows, class T, int Count, int Low, class Factor>
inline __attribute__((always_inline)) void dense_rows(T* tile, const int64_t* offsets, const int64_t* starts, int first,
                                                      const typename Lanes<T>::Aligned* in, const Factor* factors) {
  using V = typename Lanes<T>::Aligned;
  constexpr int kColumns = Shape<Count, Low>::kColumns, kTogether = Shape<Count, Low>::kTogether;
  factors += first * kColumns;
  V sums[Rows * kTogether];
#pragma GCC unroll 16
  for (int k = 0; k < Rows * kTogether; ++k) sums[k] = V{};
#pragma GCC unroll 4
  for (int column = 0; column < kColumns; ++column) {
    V values[kTogether];
#pragma GCC unroll 8
    for (int g = 0; g < kTogether; ++g) values[g] = in[g];
#pragma GCC unroll 8
    for (int row = 0; row < Rows; ++row) {
      const Factor factor = factors[row];
#pragma GCC unroll 8
      for (int g = 0; g < kTogether; ++g) sums[row * kTogether + g] += factor * values[g];
    }
    in += kTogether;
    factors += Rows;
  }
#pragma GCC unroll 8
  for (int row = 0; row < Rows; ++row)
#pragma GCC unroll 8
    for (int g = 0; g < kTogether; ++g) store(tile + starts[g] + offsets[first + row], sums[row * kTogether + g]);
}

template <class T, int Count, int Low>
inline __attribute__((always_inline)) void dense_groups(T* tile, const int64_t* offsets, const int64_t* starts,
                                                        const typename Lanes<T>::Mask* masks, const void* matrix) {
  using V = typename Lanes<T>::Aligned;
  using S = Shape<Count, Low>;
  using Factor = std::conditional_t<Low == 0, T, V>;
  constexpr int kTogether = S::kTogether;
  V in[S::kColumns * kTogether];
  for (int high = 0; high < S::kRows; ++high)
#pragma GCC unroll 8
    for (int g = 0; g < kTogether; ++g) {
      const V value = load(tile + starts[g] + offsets[high]);
      if constexpr (Low == 0) {
        in[high * kTogether + g] = value;
      } else {
#pragma GCC unroll 16
        for (int low = 0; low < 1 << Low; ++low) in[((high << Low) + low) * kTogether + g] = shuffle<T>(value, masks[low]);
      }
    }
  const Factor* factors = static_cast<const Factor*>(matrix);
  const auto block = [&](auto rows, int first) {
    dense_rows<rows, T, Count, Low>(tile, offsets, starts, first, in, factors);
    return first + rows;
  };
  constexpr int kFirst = rows_of_block(S::kRows, 0), kNext = rows_of_block(S::kRows, kFirst);
  int first = block(std::integral_constant<int, kFirst>(), 0);
  while (first < S::kRows) first = block(std::integral_constant<int, kNext>(), first);
}

template <class T, int Count, int Low>
void dense(T* tile, int64_t size, const Ready<T>& ready, Ahead<T>& ahead) {
  using S = Shape<Count, Low>;
  constexpr int kLanes = Lanes<T>::kCount;
  const int64_t* offsets = ready.offsets.data();
  const auto* masks = ready.masks.data();
  const void* matrix = Low == 0 ? static_cast<const void*>(ready.plain.data()) : ready.spread.data();
  const int64_t skipped = ready.skipped, groups = size / kLanes / S::kRows;
  const auto after = [&](int64_t index) {
    for (int g = 0; g < S::kTogether; ++g) index = next(index, skipped, kLanes);
    return index;
  };
  int64_t start = 0, later = 0;
  for (int k = 0; k < S::kAhead; ++k) later = after(later);
  int64_t starts[S::kTogether];
  for (int64_t group = 0; group < groups; group += S::kTogether) {
    for (int g = 0; g < S::kTogether; ++g) {
      starts[g] = ready.place(start);
      start = next(start, skipped, kLanes);
    }
    // Groups that come soon, for which the processor does not look far enough ahead.
    const T* soon = tile + ready.place(later);
    later = after(later);
    for (const int64_t line : ready.lines) __builtin_prefetch(soon + line, 1);
    ahead();
    dense_groups<T, Count, Low>(tile, offsets, starts, masks, matrix);
  }
}

// One stage on some groups: from the tile or from what the stage before held, and to where the next one finds it.
template <class T, bool FromTile, bool ToTile>
inline __attribute__((always_inline)) void one_stage(T* const* at, const Stage& stage, const T* numbers,
                                                     const typename Lanes<T>::Aligned* held,
                                                     typename Lanes<T>::Aligned* after) {
  using V = typename Lanes<T>::Aligned;
  const auto read = [&](int64_t place, int g) { return FromTile ? load(at[g] + place) : held[place + g]; };
  const auto write = [&](int64_t place, int g, V value) {
    if constexpr (ToTile)
      store(at[g] + place, value);
    else
      after[place + g] = value;
  };
  const auto each = [&](int block, auto first, auto mixes) {
    V in[kBlockSize][kHeldTogether];
#pragma GCC unroll 4
    for (int k = 0; k < kBlockSize; ++k)
#pragma GCC unroll 4
      for (int g = 0; g < kHeldTogether; ++g) in[k][g] = read(stage.from[block][k], g);
#pragma GCC unroll 4
    for (int row = 0; row < kBlockSize; ++row) {
      const bool alone = !mixes || row < first;
      const T* factors = numbers + row * kBlockSize;
      V sums[kHeldTogether];
#pragma GCC unroll 4
      for (int g = 0; g < kHeldTogether; ++g) sums[g] = factors[alone ? row : first] * in[alone ? row : first][g];
      if (!alone)
#pragma GCC unroll 4
        for (int k = first + 1; k < kBlockSize; ++k)
#pragma GCC unroll 4
          for (int g = 0; g < kHeldTogether; ++g) sums[g] += factors[k] * in[k][g];
#pragma GCC unroll 4
      for (int g = 0; g < kHeldTogether; ++g) write(stage.to[block][row], g, sums[g]);
    }
    numbers += kBlockSize * kBlockSize;
  };
  int block = 0;
  for (; block < stage.diagonal; ++block) each(block, std::integral_constant<int, 0>(), std::false_type());
  for (; block < stage.three; ++block) each(block, std::integral_constant<int, 1>(), std::true_type());
  for (; block < kBlocks; ++block) each(block, std::integral_constant<int, 0>(), std::true_type());
}

template <class T>
inline __attribute__((always_inline)) void staged_groups(T* const* at, const Ready<T>& ready) {
  using V = typename Lanes<T>::Aligned;
  const Stage *stage = ready.stages.data(), *last = stage + ready.stages.size() - 1;
  const T* numbers = ready.numbers;
  V held[2][(1 << kStageBits) * kHeldTogether];
  if (ready.stays) return one_stage<T, true, true>(at, *stage, numbers, nullptr, nullptr);
  one_stage<T, true, false>(at, *stage, numbers, nullptr, held[0]);
  int now = 0;
  while (++stage < last) {
    numbers += kStageNumbers;
    one_stage<T, false, false>(at, *stage, numbers, held[now], held[now ^ 1]);
    now ^= 1;
  }
  one_stage<T, false, true>(at, *stage, numbers + kStageNumbers, held[now], nullptr);
}

// The same with bits in lanes; a function of its own, since both in one cost the other a tenth.
template <class T>
inline __attribute__((always_inline)) void moved_groups(T* const* at, const Ready<T>& ready) {
  typename Lanes<T>::Aligned held[2][(1 << kStageBits) * kHeldTogether];
  const T* numbers = ready.numbers;
  int now = 0;
  ready.move(at, ready.offsets.data(), held[0], false);
  for (const Stage& stage : ready.stages) {
    one_stage<T, false, false>(at, stage, numbers, held[now], held[now ^ 1]);
    numbers += kStageNumbers;
    now ^= 1;
  }
  ready.move(at, ready.offsets.data(), held[now], true);
}

template <class T, bool Moves>
void staged(T* tile, int64_t size, const Ready<T>& ready, Ahead<T>& ahead) {
  constexpr int kLanes = Lanes<T>::kCount;
  const int64_t groups = size / kLanes >> kStageBits;
  int64_t start = 0;
  T* at[kHeldTogether];
  for (int64_t group = 0; group < groups; group += kHeldTogether) {
    for (int g = 0; g < kHeldTogether; ++g) {
      at[g] = tile + ready.place(start);
      start = next(start, ready.skipped, kLanes);
    }
    if constexpr (Moves)
      moved_groups(at, ready);
    else
      staged_groups(at, ready);
    ahead();
  }
}

template <class T>
void diagonal(T* tile, int64_t size, const Ready<T>& ready, Ahead<T>& ahead) {
  constexpr int kLanes = Lanes<T>::kCount;
  const int64_t rows = ready.offsets.size(), groups = size / kLanes / rows;
  int64_t start = 0;
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t row = 0; row < rows; ++row) {
      T* at = tile + ready.place(start) + ready.offsets[row];
      store(at, load(at) * ready.spread[row]);
    }
    start = next(start, ready.skipped, kLanes);
    ahead();
  }
}

// Tiles with fewer entries than lanes.
template <class T>
void entry_by_entry(T* tile, int64_t size, const Ready<T>& ready) {
  const int64_t columns = int64_t{1} << ready.count;
  T in[1 << kMaxStepBits];
  int64_t start = 0;
  for (int64_t group = 0; group < size / columns; ++group) {
    T* at = tile + ready.place(start);
    for (int64_t column = 0; column < columns; ++column) in[column] = at[ready.offsets[column]];
    for (int64_t row = 0; row < columns; ++row) {
      T sum = 0;
      if (ready.diagonal)
        sum = ready.numbers[row] * in[row];
      else
        for (int64_t column = 0; column < columns; ++column) sum += ready.numbers[row * columns + column] * in[column];
      at[ready.offsets[row]] = sum;
    }
    start = next(start, ready.skipped, 1);
  }
}

template <class T, int Count>
void dense_of(T* tile, int64_t size, const Ready<T>& ready, Ahead<T>& ahead) {
  switch (ready.low) {
    case 0: return dense<T, Count, 0>(tile, size, ready, ahead);
    case 1: return dense<T, Count, 1>(tile, size, ready, ahead);
    case 2:
      if constexpr (Count >= 2 && Lanes<T>::kBits >= 2) return dense<T, Count, 2>(tile, size, ready, ahead);
      break;
    case 3:
      if constexpr (Count >= 3 && Lanes<T>::kBits >= 3) return dense<T, Count, 3>(tile, size, ready, ahead);
      break;
    case 4:
      if constexpr (Count >= 4 && Lanes<T>::kBits >= 4) return dense<T, Count, 4>(tile, size, ready, ahead);
      break;
  }
}

template <class T>
void apply(T* tile, int64_t size, const Ready<T>& ready, Ahead<T>& ahead) {
  if (ready.scalar) return entry_by_entry(tile, size, ready);
  if (ready.diagonal) return diagonal(tile, size, ready, ahead);
  if (!ready.stages.empty()) return (ready.move ? staged<T, true> : staged<T, false>)(tile, size, ready, ahead);
  switch (ready.count) {
    case 1: return dense_of<T, 1>(tile, size, ready, ahead);
    case 2: return dense_of<T, 2>(tile, size, ready, ahead);
    case 3: return dense_of<T, 3>(tile, size, ready, ahead);
    case 4: return dense_of<T, 4>(tile, size, ready, ahead);
    case 5: return dense_of<T, 5>(tile, size, ready, ahead);
    case 6: return dense_of<T, 6>(tile, size, ready, ahead);
  }
}

// How often a step calls `Ahead`.
template <class T>
int64_t groups_at_once(const Ready<T>& ready, int64_t size) {
  const int64_t vectors = size / Lanes<T>::kCount, rows = ready.offsets.size();
  if (ready.scalar) return 0;
  if (ready.diagonal) return vectors / rows;
  return vectors / rows / (ready.stages.empty() ? together(rows) : kHeldTogether);
}

}  // namespace qdist
