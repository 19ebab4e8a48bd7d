// Small real matrices on bits of the index of long vectors: many of them while a tile of the vector is in the cache.
//
// A vector has 2^bits entries; several lie one behind another. A pass takes a tile of them (the entries that differ in
// `tile` bits of their index) to a scratch buffer, applies its steps there, and writes it back. Bits are numbered from 0,
// the least significant. Which bits a tile and a step have are numbers, so nothing is compiled for a new circuit.
//
// Scratch buffers leave a line of the cache free every 4 KiB (`address`): entries that are a power of two apart would all
// fall into the same few lines of the L1 cache.
//
// A dense matrix on two digits may come as stages too (`qdist_kernels/stages.py`): four matrices of 4 × 4 side by side,
// again and again, which is a third of the products. They are used where none of its bits is in a lane; so on the way to
// the scratch buffer the lowest bits of the index trade places with those that fewest steps have.
//
// Vectors of the compiler carry the lowest bits of the index (lanes). A step that acts on lanes reads each of its columns
// from a shuffle of the vector, and its matrix has another row in each lane: 2^k products a vector wherever the bits are.

#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <vector>

namespace qdist {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

constexpr int kMaxStepBits = 6;
constexpr int64_t kScratchAlignment = 64;

template <class T>
struct Lanes {
  static constexpr int kCount = kVectorBytes / sizeof(T);
  static constexpr int kBits = kCount == 16 ? 4 : kCount == 8 ? 3 : kCount == 4 ? 2 : 1;
  typedef T Vector __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  typedef T Aligned __attribute__((vector_size(kVectorBytes)));
  typedef float Words __attribute__((vector_size(kVectorBytes)));
  typedef int32_t Mask __attribute__((vector_size(kVectorBytes)));
};

template <class T>
inline typename Lanes<T>::Aligned load(const T* from) {
  return *reinterpret_cast<const typename Lanes<T>::Vector*>(from);
}

template <class T>
inline void store(T* to, typename Lanes<T>::Aligned value) {
  *reinterpret_cast<typename Lanes<T>::Vector*>(to) = value;
}

// In words of 32 bits whatever T is: AVX2 has no instruction that shuffles doubles by a variable.
template <class T>
inline typename Lanes<T>::Aligned shuffle(typename Lanes<T>::Aligned value, typename Lanes<T>::Mask mask) {
  using Words = typename Lanes<T>::Words;
  const Words words = (Words)value;
#if defined(__clang__)
  Words out;
  for (size_t i = 0; i < sizeof(Words) / 4; ++i) out[i] = words[mask[i]];
#else
  const Words out = __builtin_shuffle(words, mask);
#endif
  return (typename Lanes<T>::Aligned)out;
}

// Where each lane finds its column, in words.
template <class T>
typename Lanes<T>::Mask mask_of(int64_t own, int64_t others) {
  constexpr int kWords = sizeof(T) / 4;
  typename Lanes<T>::Mask mask;
  for (int lane = 0; lane < Lanes<T>::kCount; ++lane)
    for (int word = 0; word < kWords; ++word) mask[lane * kWords + word] = ((lane & others) | own) * kWords + word;
  return mask;
}

// Where an entry of a tile is. Of indices that share no bit, it is the sum of both places.
template <class T>
struct Place {
  static constexpr int kPageBits = sizeof(T) == 4 ? 10 : 9;
  static constexpr int64_t kPage = int64_t{1} << kPageBits;
  int64_t gap;  // entries left free after each page

  int64_t operator()(int64_t index) const { return index + (index >> kPageBits) * gap; }
};

template <class T>
constexpr int64_t kGap = 64 / sizeof(T);

enum Kind : int32_t { kDiagonal, kThree, kFull };

constexpr int kBlocks = 4, kBlockSize = 4, kStageBits = 4;

// A part of a stage, as it is written in the program: from four entries of a group to four.
struct Block {
  int32_t kind, columns[kBlockSize], rows[kBlockSize];
};

// Two vectors whose indices differ in one bit trade it for a bit of the lane.
template <class T, int Bit>
inline __attribute__((always_inline)) void exchange(typename Lanes<T>::Aligned& a, typename Lanes<T>::Aligned& b) {
  using V = typename Lanes<T>::Aligned;
  constexpr int kLanes = Lanes<T>::kCount, kBit = 1 << Bit;
#if defined(__clang__)
  V first, second;
  for (int lane = 0; lane < kLanes; ++lane) {
    first[lane] = lane & kBit ? b[lane ^ kBit] : a[lane];
    second[lane] = lane & kBit ? b[lane] : a[lane ^ kBit];
  }
#else
  typedef std::conditional_t<sizeof(T) == 4, int32_t, int64_t> Index;
  typedef Index Mask __attribute__((vector_size(kVectorBytes)));
  Mask of_first, of_second;
#pragma GCC unroll 16
  for (int lane = 0; lane < kLanes; ++lane) {
    of_first[lane] = lane & kBit ? kLanes + (lane ^ kBit) : lane;
    of_second[lane] = lane & kBit ? kLanes + lane : lane ^ kBit;
  }
  const V first = __builtin_shuffle(a, b, of_first), second = __builtin_shuffle(a, b, of_second);
#endif
  a = first;
  b = second;
}

// The bits of the index of 2^k vectors trade places with the k bits of `Mask` in the lanes, lowest with lowest.
template <class T, int Mask, int Bit = 0, int Place = 0>
inline __attribute__((always_inline)) void exchange_all(typename Lanes<T>::Aligned* vectors) {
  if constexpr (Mask >> Bit) {
    if constexpr (Mask >> Bit & 1) {
#pragma GCC unroll 16
      for (int k = 0; k < 1 << __builtin_popcount(Mask); ++k)
        if (!(k >> Place & 1)) exchange<T, Bit>(vectors[k], vectors[k | 1 << Place]);
      exchange_all<T, Mask, Bit + 1, Place + 1>(vectors);
    } else {
      exchange_all<T, Mask, Bit + 1, Place>(vectors);
    }
  }
}

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
// of rows stay in registers; kSums of them hide the latency of a product.
constexpr int kSums = 8;
constexpr int64_t together(int64_t rows) { return rows >= 4 ? 2 : rows == 2 ? 4 : 8; }
constexpr int64_t rows_at_a_time(int64_t rows) { return std::min<int64_t>(rows, kSums / together(rows)); }

// A stage made ready: blocks sorted by kind, of which the first ones are `diagonal`, those up to `three` have a factor and
// nine numbers; and where their entries are, in the tile or between two stages.
struct Stage {
  int diagonal = 0, three = 0;
  int64_t from[kBlocks][kBlockSize], to[kBlocks][kBlockSize];
};

// Groups of 16 vectors that take a stage together: what they share is read once, and a vector is half a line of the cache.
template <class T>
constexpr int kHeldTogether = 128 / kVectorBytes;

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
  std::vector<int64_t> offsets;
  std::vector<typename L::Mask> masks;     // for each value of the low bits: where a lane finds its column
  std::vector<typename L::Aligned> spread;  // [block of rows][column][row], or [row] of a diagonal
  std::vector<T> plain;                     // the same, where it has no bits in lanes
  const T* numbers;
  std::vector<T> own;  // if they are in another order than in the program
};

template <class T>
Stage make_stage(const Block* blocks, const std::vector<int64_t>& offsets, bool first, bool last) {
  Stage stage;
  for (int b = 0; b < kBlocks; ++b) {
    stage.diagonal += blocks[b].kind == kDiagonal;
    stage.three += blocks[b].kind != kFull;
    for (int k = 0; k < kBlockSize; ++k) {
      const int32_t column = blocks[b].columns[k], row = blocks[b].rows[k];
      stage.from[b][k] = first ? offsets[column] : column * kHeldTogether<T>;
      stage.to[b][k] = last ? offsets[row] : row * kHeldTogether<T>;
    }
  }
  return stage;
}

inline std::vector<int64_t> offsets_of(const int32_t* at, int count) {
  std::vector<int64_t> found(int64_t{1} << count, 0);
  for (int64_t value = 0; value < int64_t(found.size()); ++value)
    for (int k = 0; k < count; ++k)
      if (value >> (count - 1 - k) & 1) found[value] |= int64_t{1} << at[k];
  return found;
}

// Bits of a tile's index that trade places with lanes on the way to the scratch buffer.
template <class T>
struct Trade {
  int lanes = 0;                       // a mask
  std::vector<int32_t> bits;           // ascending; the first goes to the lowest lane of the mask
  std::vector<int64_t> far, near;      // where the others of 2^k vectors are, in the vector and in the buffer
  int64_t skipped = 0;                 // the bits, as a mask

  int operator()(int bit) const {
    for (size_t k = 0, lane = 0; k < bits.size(); ++k, ++lane) {
      while (!(lanes >> lane & 1)) ++lane;
      if (bit == bits[k]) return int(lane);
      if (bit == int(lane)) return bits[k];
    }
    return bit;
  }
};

// The numbers of a step for its bits in another order, of which `from` says where each was.
template <class T>
std::vector<T> reordered(const Step<T>& step, const std::vector<int>& from) {
  const int64_t rows = int64_t{1} << step.count;
  std::vector<int64_t> old(rows, 0);
  for (int64_t value = 0; value < rows; ++value)
    for (int k = 0; k < step.count; ++k)
      if (value >> (step.count - 1 - k) & 1) old[value] |= int64_t{1} << (step.count - 1 - from[k]);
  std::vector<T> numbers;
  for (int64_t row = 0; row < rows; ++row) {
    if (step.diagonal) numbers.push_back(step.numbers[old[row]]);
    for (int64_t column = 0; column < rows && !step.diagonal; ++column)
      numbers.push_back(step.numbers[old[row] * rows + old[column]]);
  }
  return numbers;
}

template <class T>
Ready<T> make_ready(Step<T> step, int tile_bits, Place<T> place, const Trade<T>& trade) {
  using L = Lanes<T>;
  Ready<T> ready;
  ready.place = place;
  std::vector<int32_t> at(step.at, step.at + step.count);
  for (int32_t& bit : at) bit = trade(bit);
  step.at = at.data();
  const bool in_lanes = *std::min_element(at.begin(), at.end()) < L::kBits;
  if (in_lanes && !std::is_sorted(at.rbegin(), at.rend())) {  // bits in lanes must be the last ones
    std::vector<int> from(step.count);
    for (int k = 0; k < step.count; ++k) from[k] = k;
    std::sort(from.begin(), from.end(), [&](int a, int b) { return at[a] > at[b]; });
    ready.own = reordered(step, from);
    step.numbers = ready.own.data();
    std::sort(at.rbegin(), at.rend());
  }
  ready.diagonal = step.diagonal;
  ready.count = step.count;
  ready.numbers = step.numbers;
  const int64_t columns = int64_t{1} << step.count;
  if (tile_bits < L::kBits) {  // fewer entries than lanes
    ready.scalar = true;
    ready.offsets = offsets_of(step.at, step.count);
    ready.skipped = ready.offsets.back();
    for (int64_t& offset : ready.offsets) offset = place(offset);
    return ready;
  }
  while (ready.low < step.count && step.at[step.count - 1 - ready.low] < L::kBits) ++ready.low;
  const int high = step.count - ready.low;
  ready.offsets = offsets_of(step.at, high);
  ready.skipped = ready.offsets.back();
  for (int64_t& offset : ready.offsets) offset = place(offset);
  if (step.stages && ready.low == 0) {
    ready.stays = step.stages == 1;
    ready.numbers += int64_t{1} << 2 * kStageBits;
    for (int k = 0; k < step.stages; ++k)
      ready.stages.push_back(make_stage<T>(step.blocks + k * kBlocks, ready.offsets, k == 0, k + 1 == step.stages));
    return ready;
  }
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
  const int64_t block = rows_at_a_time(rows);
  for (int64_t first = 0; first < rows; first += block)
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
  return ready;
}

// The next index whose bits in `skipped` are all 0, in steps of `by`.
inline int64_t next(int64_t index, int64_t skipped, int64_t by) { return ((index | skipped) + by) & ~skipped; }

// Where the entries of a tile are: rows that are contiguous in the vector.
struct Rows {
  int64_t length, shift;
  std::vector<int64_t> coarse, fine;

  int64_t count() const { return int64_t(fine.size() * coarse.size()); }
  int64_t operator()(int64_t row) const { return coarse[row >> shift] + fine[row & (int64_t(fine.size()) - 1)]; }
};

inline Rows rows_of(const int32_t* tile, int count) {
  int contiguous = 0;
  while (contiguous < count && tile[contiguous] == contiguous) ++contiguous;
  const int left = count - contiguous, half = left / 2;
  auto spread = [&](int first, int many) {
    std::vector<int32_t> descending(tile + first, tile + first + many);
    std::reverse(descending.begin(), descending.end());
    return offsets_of(descending.data(), many);
  };
  return {int64_t{1} << contiguous, half, spread(contiguous + half, left - half), spread(contiguous, half)};
}

// Asks for the lines of the tile that is probably next, some at a time, while this one is worked on: memory is read while
// the processor computes.
template <class T>
class Ahead {
 public:
  Ahead(const T* base, const Rows& rows, int64_t calls) : base_(base), rows_(rows) {
    if (base == nullptr || calls == 0) return;
    left_ = rows.count();
    const int64_t lines = left_ * std::max<int64_t>(1, rows.length / kLine);
    at_once_ = (lines + calls - 1) / calls;
    line_ = base + rows(0);
  }

  void operator()() {
    if (left_ == 0) return;
    for (int64_t k = 0; k < at_once_; ++k) {
      __builtin_prefetch(line_ + column_, 0, 2);
      if ((column_ += kLine) < rows_.length) continue;
      column_ = 0;
      if (--left_ == 0) return;
      line_ = base_ + rows_(rows_.count() - left_);
    }
  }

 private:
  static constexpr int64_t kLine = 64 / sizeof(T);
  const T* base_;
  const T* line_ = nullptr;
  const Rows& rows_;
  int64_t left_ = 0, column_ = 0, at_once_ = 0;
};

template <int Count, int Low>
struct Shape {
  static constexpr int kColumns = 1 << Count, kRows = 1 << (Count - Low);
  static constexpr int kTogether = together(kRows), kBlock = rows_at_a_time(kRows);
};

template <class T, int Count, int Low, int Together>
inline __attribute__((always_inline)) void dense_groups(T* tile, const int64_t* offsets, const int64_t* starts,
                                                        const typename Lanes<T>::Mask* masks, const void* matrix) {
  using V = typename Lanes<T>::Aligned;
  using S = Shape<Count, Low>;
  using Factor = std::conditional_t<Low == 0, T, V>;
  const Factor* factors = static_cast<const Factor*>(matrix);
  V in[S::kColumns * Together];
  for (int high = 0; high < S::kRows; ++high)
#pragma GCC unroll 8
    for (int g = 0; g < Together; ++g) {
      const V value = load(tile + starts[g] + offsets[high]);
      if constexpr (Low == 0) {
        in[high * Together + g] = value;
      } else {
#pragma GCC unroll 16
        for (int low = 0; low < 1 << Low; ++low) in[((high << Low) + low) * Together + g] = shuffle<T>(value, masks[low]);
      }
    }
  for (int first = 0; first < S::kRows; first += S::kBlock) {
    V sums[S::kBlock * Together];
#pragma GCC unroll 16
    for (int k = 0; k < S::kBlock * Together; ++k) sums[k] = V{};
    const V* from = in;
#pragma GCC unroll 4
    for (int column = 0; column < S::kColumns; ++column) {
      V values[Together];
#pragma GCC unroll 8
      for (int g = 0; g < Together; ++g) values[g] = from[g];
#pragma GCC unroll 8
      for (int row = 0; row < S::kBlock; ++row) {
        const Factor factor = factors[row];
#pragma GCC unroll 8
        for (int g = 0; g < Together; ++g) sums[row * Together + g] += factor * values[g];
      }
      from += Together;
      factors += S::kBlock;
    }
#pragma GCC unroll 8
    for (int row = 0; row < S::kBlock; ++row)
#pragma GCC unroll 8
      for (int g = 0; g < Together; ++g) store(tile + starts[g] + offsets[first + row], sums[row * Together + g]);
  }
}

template <class T, int Count, int Low>
void dense(T* tile, int64_t size, const Ready<T>& ready, Ahead<T>& ahead) {
  using S = Shape<Count, Low>;
  constexpr int kLanes = Lanes<T>::kCount;
  const int64_t* offsets = ready.offsets.data();
  const auto* masks = ready.masks.data();
  const void* matrix = Low == 0 ? static_cast<const void*>(ready.plain.data()) : ready.spread.data();
  const int64_t skipped = ready.skipped, groups = size / kLanes / S::kRows;
  int64_t start = 0, group = 0;
  int64_t starts[S::kTogether];
  for (; group + S::kTogether <= groups; group += S::kTogether) {
    for (int g = 0; g < S::kTogether; ++g) {
      starts[g] = ready.place(start);
      start = next(start, skipped, kLanes);
    }
    // The next groups, for which the processor does not look far enough ahead.
    const T* soon = tile + ready.place(start);
    for (int64_t row = 0; row < S::kRows; ++row) __builtin_prefetch(soon + offsets[row], 1);
    ahead();
    dense_groups<T, Count, Low, S::kTogether>(tile, offsets, starts, masks, matrix);
  }
  for (; group < groups; ++group) {
    starts[0] = ready.place(start);
    dense_groups<T, Count, Low, 1>(tile, offsets, starts, masks, matrix);
    start = next(start, skipped, kLanes);
  }
}

// One stage on some groups: from the tile or from what the stage before held, and to where the next one finds it.
template <class T, int Together, bool FromTile, bool ToTile>
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
    V in[kBlockSize][Together];
#pragma GCC unroll 4
    for (int k = 0; k < kBlockSize; ++k)
#pragma GCC unroll 4
      for (int g = 0; g < Together; ++g) in[k][g] = read(stage.from[block][k], g);
#pragma GCC unroll 4
    for (int row = 0; row < kBlockSize; ++row) {
      const bool alone = !mixes || row < first;
      const T* factors = numbers + row * kBlockSize;
      V sums[Together];
#pragma GCC unroll 4
      for (int g = 0; g < Together; ++g) sums[g] = factors[alone ? row : first] * in[alone ? row : first][g];
      if (!alone)
#pragma GCC unroll 4
        for (int k = first + 1; k < kBlockSize; ++k)
#pragma GCC unroll 4
          for (int g = 0; g < Together; ++g) sums[g] += factors[k] * in[k][g];
#pragma GCC unroll 4
      for (int g = 0; g < Together; ++g) write(stage.to[block][row], g, sums[g]);
    }
    numbers += kBlockSize * kBlockSize;
  };
  int block = 0;
  for (; block < stage.diagonal; ++block) each(block, std::integral_constant<int, 0>(), std::false_type());
  for (; block < stage.three; ++block) each(block, std::integral_constant<int, 1>(), std::true_type());
  for (; block < kBlocks; ++block) each(block, std::integral_constant<int, 0>(), std::true_type());
}

template <class T, int Together>
inline __attribute__((always_inline)) void staged_groups(T* const* at, const Ready<T>& ready) {
  using V = typename Lanes<T>::Aligned;
  constexpr int kNumbers = kBlocks * kBlockSize * kBlockSize;
  const Stage *stage = ready.stages.data(), *last = stage + ready.stages.size() - 1;
  const T* numbers = ready.numbers;
  V held[2][(1 << kStageBits) * kHeldTogether<T>];
  if (ready.stays) return one_stage<T, Together, true, true>(at, *stage, numbers, nullptr, nullptr);
  one_stage<T, Together, true, false>(at, *stage, numbers, nullptr, held[0]);
  int now = 0;
  while (++stage < last) {
    numbers += kNumbers;
    one_stage<T, Together, false, false>(at, *stage, numbers, held[now], held[now ^ 1]);
    now ^= 1;
  }
  one_stage<T, Together, false, true>(at, *stage, numbers + kNumbers, held[now], nullptr);
}

template <class T>
void staged(T* tile, int64_t size, const Ready<T>& ready, Ahead<T>& ahead) {
  constexpr int kLanes = Lanes<T>::kCount, kTogether = kHeldTogether<T>;
  const int64_t groups = size / kLanes >> kStageBits;
  int64_t start = 0, group = 0;
  T* at[kTogether];
  for (; group + kTogether <= groups; group += kTogether) {
    for (int g = 0; g < kTogether; ++g) {
      at[g] = tile + ready.place(start);
      start = next(start, ready.skipped, kLanes);
    }
    staged_groups<T, kTogether>(at, ready);
    ahead();
  }
  for (; group < groups; ++group) {
    at[0] = tile + ready.place(start);
    staged_groups<T, 1>(at, ready);
    start = next(start, ready.skipped, kLanes);
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
  if (!ready.stages.empty()) return staged(tile, size, ready, ahead);
  switch (ready.count) {
    case 1: return dense_of<T, 1>(tile, size, ready, ahead);
    case 2: return dense_of<T, 2>(tile, size, ready, ahead);
    case 3: return dense_of<T, 3>(tile, size, ready, ahead);
    case 4: return dense_of<T, 4>(tile, size, ready, ahead);
    case 5: return dense_of<T, 5>(tile, size, ready, ahead);
    case 6: return dense_of<T, 6>(tile, size, ready, ahead);
  }
}

// Bits of an index that are not among others, both ascending.
inline std::vector<int32_t> without(const int32_t* all, int many, const int32_t* others, int count) {
  std::vector<int32_t> left;
  std::set_difference(all, all + many, others, others + count, std::back_inserter(left));
  return left;
}

// The index that has the bits of a number at some places, and zeros elsewhere.
inline int64_t deposit(int64_t number, const std::vector<int32_t>& places) {
  int64_t index = 0;
  for (size_t k = 0; k < places.size(); ++k) index |= (number >> k & 1) << places[k];
  return index;
}

template <class T>
inline void copy_row(T* to, const T* from, int64_t length) {
  constexpr int kLanes = Lanes<T>::kCount;
  if (length < kLanes) {
    for (int64_t k = 0; k < length; ++k) to[k] = from[k];
    return;
  }
  for (int64_t k = 0; k < length; k += kLanes) store(to + k, load(from + k));
}

// The processor does not foresee rows that are far apart: they are asked for some rows ahead.
constexpr int64_t kRowsAhead = 16;

template <class T>
inline void copy_rows(T* scratch, T* vector, const Rows& rows, bool back) {
  constexpr int64_t kLine = 64 / sizeof(T), kPage = Place<T>::kPage;
  const int64_t total = rows.count();
  const int64_t piece = std::min(rows.length, kPage);
  auto at = [&](int64_t row) { return vector + rows(row); };
  int64_t used = 0;
  for (int64_t row = 0; row < total; ++row) {
    if (row + kRowsAhead < total) {
      const T* soon = at(row + kRowsAhead);
      for (int64_t k = 0; k < rows.length; k += kLine) __builtin_prefetch(soon + k, 1);
    }
    T* here = at(row);
    for (int64_t k = 0; k < rows.length; k += piece) {
      if (back)
        copy_row(here + k, scratch, piece);
      else
        copy_row(scratch, here + k, piece);
      scratch += piece;
      if (((used += piece) & (kPage - 1)) == 0) scratch += kGap<T>;
    }
  }
}

template <class T, int Mask>
inline void copy_traded(T* scratch, T* vector, const Rows& rows, const Trade<T>& trade, Place<T> place, bool back) {
  constexpr int kLanes = Lanes<T>::kCount, kVectors = 1 << __builtin_popcount(Mask);
  constexpr int64_t kLine = 64 / sizeof(T);
  const int64_t total = rows.count(), length = rows.length;
  const int64_t rows_skipped = trade.skipped / length, inside = trade.skipped & (length - 1);
  const int64_t taken = total >> __builtin_popcountll(rows_skipped);
  int64_t soon = 0;
  for (int64_t k = 0; k < kRowsAhead; ++k) soon = next(soon, rows_skipped, 1);
  for (int64_t row = 0, done = 0; done < taken; ++done, row = next(row, rows_skipped, 1)) {
    if (done + kRowsAhead < taken) {
      const T* line = vector + rows(soon);
      for (int64_t k = 0; k < length; k += kLine)
        for (int v = 0; v < kVectors; ++v)
          if (trade.far[v] == 0 || trade.far[v] >= length) __builtin_prefetch(line + trade.far[v] + k, 1);
      soon = next(soon, rows_skipped, 1);
    }
    T *here = vector + rows(row), *there = scratch + place(row * length);
    const int64_t count = length / kLanes >> __builtin_popcountll(inside);
    for (int64_t k = 0, column = 0; k < count; ++k, column = next(column, inside, kLanes)) {
      typename Lanes<T>::Aligned some[kVectors];
      T *from = here + column, *to = there + place(column);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) some[v] = back ? load(to + trade.near[v]) : load(from + trade.far[v]);
      exchange_all<T, Mask>(some);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) store(back ? from + trade.far[v] : to + trade.near[v], some[v]);
    }
  }
}

template <class T, int Mask = 1>
void copy(T* scratch, T* vector, const Rows& rows, const Trade<T>& trade, Place<T> place, bool back) {
  if (trade.lanes == 0) return copy_rows(scratch, vector, rows, back);
  if (trade.lanes == Mask) return copy_traded<T, Mask>(scratch, vector, rows, trade, place, back);
  if constexpr (Mask + 1 < Lanes<T>::kCount) copy<T, Mask + 1>(scratch, vector, rows, trade, place, back);
}

// The bits that as few staged steps as can be have take the places of the lanes.
template <class T>
Trade<T> make_trade(const std::vector<Step<T>>& steps, const int32_t* tile, int tile_bits, Place<T> place) {
  constexpr int kBits = Lanes<T>::kBits;
  Trade<T> trade;
  std::vector<uint64_t> users(tile_bits, 0);  // of the first 64 steps
  for (size_t k = 0; k < std::min<size_t>(steps.size(), 64); ++k)
    if (steps[k].stages)
      for (int b = 0; b < steps[k].count; ++b) users[steps[k].at[b]] |= uint64_t{1} << k;
  uint64_t now = 0, then = 0;
  for (int lane = 0; lane < kBits; ++lane) now |= users[lane];
  int chosen = 0;
  for (int lane = 0; lane < kBits; ++lane) {
    int best = -1;
    for (int bit = 0; bit < tile_bits; ++bit)
      if (!(chosen >> bit & 1) &&
          (best < 0 || __builtin_popcountll(then | users[bit]) < __builtin_popcountll(then | users[best])))
        best = bit;
    chosen |= 1 << best;
    then |= users[best];
  }
  if (__builtin_popcountll(then) >= __builtin_popcountll(now)) return trade;
  trade.lanes = ~chosen & (Lanes<T>::kCount - 1);
  for (int bit = kBits; bit < tile_bits; ++bit)
    if (chosen >> bit & 1) trade.bits.push_back(bit);
  for (const int32_t bit : trade.bits) trade.skipped |= int64_t{1} << bit;
  for (int64_t value = 0; value < int64_t{1} << trade.bits.size(); ++value) {
    int64_t far = 0, near = 0;
    for (size_t k = 0; k < trade.bits.size(); ++k)
      if (value >> k & 1) {
        far |= int64_t{1} << tile[trade.bits[k]];
        near |= int64_t{1} << trade.bits[k];
      }
    trade.far.push_back(far);
    trade.near.push_back(place(near));
  }
  return trade;
}

constexpr int kFewSteps = 2;  // for which a tile in one row stays where it is

// A pass that is made ready: its tile, where the others of it begin, and its steps.
template <class T>
struct Pass {
  int tile_bits;
  int64_t size;
  Rows rows;
  bool whole;  // it needs no scratch buffer
  Place<T> place;
  Trade<T> trade;
  std::vector<int32_t> left;  // bits that tell its tiles apart
  std::vector<Ready<T>> steps;
  int64_t calls = 0;  // of `Ahead` during all steps

  int64_t tiles() const { return int64_t{1} << left.size(); }

  // `soon` is where the tile begins that is probably next, or null.
  void operator()(T* base, const T* soon, T* scratch) const {
    if (!whole) copy(scratch, base, rows, trade, place, false);
    const bool reads_ahead = !whole && int64_t(steps.size()) <= kFewSteps;  // with many, there is little to gain
    Ahead<T> ahead(reads_ahead ? soon : nullptr, rows, calls);
    for (const Ready<T>& step : steps) apply(whole ? base : scratch, size, step, ahead);
    if (!whole) copy(scratch, base, rows, trade, place, true);
  }
};

// How often a step calls `Ahead`.
template <class T>
int64_t groups_at_once(const Ready<T>& ready, int64_t size) {
  const int64_t vectors = size / Lanes<T>::kCount, rows = ready.offsets.size();
  if (ready.scalar) return 0;
  if (ready.diagonal) return vectors / rows;
  return vectors / rows / (ready.stages.empty() ? together(rows) : kHeldTogether<T>);
}

template <class T>
Pass<T> read_pass(const int32_t*& code, const T* numbers, const int32_t* all, int many) {
  Pass<T> pass;
  pass.tile_bits = *code++;
  const int count = *code++;
  const int32_t* tile = code;
  code += pass.tile_bits;
  pass.size = int64_t{1} << pass.tile_bits;
  pass.rows = rows_of(tile, pass.tile_bits);
  // Several steps on far bits are faster in a scratch buffer even if the tile is one row.
  pass.whole = pass.rows.length == pass.size && (count <= kFewSteps || pass.tile_bits <= Place<T>::kPageBits + 1);
  pass.left = without(all, many, tile, pass.tile_bits);
  pass.place = {pass.whole ? 0 : kGap<T>};
  std::vector<Step<T>> steps(count);
  for (Step<T>& step : steps) {
    step.diagonal = *code++;
    step.count = *code++;
    step.at = code;
    code += step.count;
    step.numbers = numbers + *code++;
    step.stages = *code++;
    step.blocks = reinterpret_cast<const Block*>(code);
    code += step.stages * kBlocks * (sizeof(Block) / sizeof(int32_t));
  }
  const bool trades = !pass.whole && pass.tile_bits > 2 * Lanes<T>::kBits && pass.rows.length >= Lanes<T>::kCount;
  if (trades) pass.trade = make_trade(steps, tile, pass.tile_bits, pass.place);
  for (Step<T>& step : steps) {
    pass.steps.push_back(make_ready(step, pass.tile_bits, pass.place, pass.trade));
    pass.calls += groups_at_once(pass.steps.back(), pass.size);
  }
  return pass;
}

// Runs a program on `batch` vectors of 2^bits entries each. `code`, as 32-bit integers:
//   groups of passes, then for each: bits of its part, passes, the part's bits (ascending), then for each pass:
//   bits of its tile, steps, the tile's bits (ascending, among the part's), then for each step:
//   1 if it is diagonal, its number of bits, its bits in the tile's index (descending), where its numbers begin, stages,
//   and for each of them four blocks: kind, four columns, four rows.
// A part of the vector takes all passes of its group before the next one does: one that stays in the L3 cache. If the
// part is the whole vector, cores share the tiles of each pass; else they share the parts.
template <class T, class Parallel>
void run(T* vector, int64_t batch, int bits, const int32_t* code, const T* numbers, int threads, Parallel&& parallel) {
  std::vector<int32_t> every(bits);
  for (int bit = 0; bit < bits; ++bit) every[bit] = bit;
  for (int groups = *code++; groups > 0; --groups) {
    const int part_bits = *code++, count = *code++;
    const int32_t* part = code;
    code += part_bits;
    const std::vector<int32_t> left = without(every.data(), bits, part, part_bits);
    const int64_t parts = int64_t{1} << left.size();
    std::vector<Pass<T>> passes;
    int64_t room = 0;
    for (int k = 0; k < count; ++k) {
      passes.push_back(read_pass(code, numbers, part, part_bits));
      room = std::max(room, Place<T>{kGap<T>}(passes.back().size));
    }
    if (parts > 1) {
      parallel(batch * parts, int64_t{1} << part_bits, room, [&](int64_t number, T* scratch) {
        T* base = vector + ((number / parts) << bits) + deposit(number % parts, left);
        for (const Pass<T>& pass : passes)
          for (int64_t tile = 0; tile < pass.tiles(); ++tile) {
            const T* soon = tile + 1 < pass.tiles() ? base + deposit(tile + 1, pass.left) : nullptr;
            pass(base + deposit(tile, pass.left), soon, scratch);
          }
      });
      continue;
    }
    for (const Pass<T>& pass : passes) {
      const int64_t tiles = batch * pass.tiles();
      const auto begin = [&](int64_t number) {
        return vector + ((number / pass.tiles()) << bits) + deposit(number % pass.tiles(), pass.left);
      };
      parallel(tiles, pass.size, room, [&](int64_t number, T* scratch) {
        pass(begin(number), number + threads < tiles ? begin(number + threads) : nullptr, scratch);
      });
    }
  }
}

}  // namespace qdist
