// Small real matrices on bits of the index of long vectors: many of them while a tile of the vector is in the cache.
//
// A vector has 2^bits entries; several lie one behind another. A pass takes a tile of them (the entries that differ in
// `tile` bits of their index) to a scratch buffer, applies its steps there, and writes it back. Bits are numbered from 0,
// the least significant. Which bits a tile and a step have are numbers, so nothing is compiled for a new circuit.
//
// Vectors of the compiler carry the lowest bits of the index (lanes). A step that acts on lanes reads each of its columns
// from a shuffle of the vector, and its matrix has another row in each lane: 2^k products a vector wherever the bits are.

#pragma once

#include <algorithm>
#include <cstdint>
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

// One step of a pass, as it is written in the program: its bits are those of the tile's own index.
template <class T>
struct Step {
  bool diagonal;
  int count;          // bits
  const int32_t* at;  // descending: the first is the most significant of the matrix's index
  const T* numbers;   // (2^count)^2, row by row, or 2^count
};

// Groups of 2^(Count-Low) vectors that are done together: what they share (the matrix) is read once. The sums of a block
// of rows stay in registers; kSums of them hide the latency of a product.
constexpr int kSums = 8;
constexpr int64_t together(int64_t rows) { return rows >= 4 ? 2 : rows == 2 ? 4 : 8; }
constexpr int64_t rows_at_a_time(int64_t rows) { return std::min<int64_t>(rows, kSums / together(rows)); }

// A step made ready for a tile: where its columns are, and its matrix spread over lanes.
template <class T>
struct Ready {
  using L = Lanes<T>;
  bool diagonal;
  bool scalar = false;
  int count;
  int low = 0;      // bits of the step in lanes
  int64_t skipped;  // the step's bits above the lanes
  std::vector<int64_t> offsets;
  std::vector<typename L::Mask> masks;     // for each value of the low bits: where a lane finds its column
  std::vector<typename L::Aligned> spread;  // [block of rows][column][row], or [row] of a diagonal
  std::vector<T> plain;                     // the same, where it has no bits in lanes
  const T* numbers;
};

inline std::vector<int64_t> offsets_of(const int32_t* at, int count) {
  std::vector<int64_t> found(int64_t{1} << count, 0);
  for (int64_t value = 0; value < int64_t(found.size()); ++value)
    for (int k = 0; k < count; ++k)
      if (value >> (count - 1 - k) & 1) found[value] |= int64_t{1} << at[k];
  return found;
}

template <class T>
Ready<T> make_ready(const Step<T>& step, int tile_bits) {
  using L = Lanes<T>;
  Ready<T> ready;
  ready.diagonal = step.diagonal;
  ready.count = step.count;
  ready.numbers = step.numbers;
  const int64_t columns = int64_t{1} << step.count;
  if (tile_bits < L::kBits) {  // fewer entries than lanes
    ready.scalar = true;
    ready.offsets = offsets_of(step.at, step.count);
    ready.skipped = ready.offsets.back();
    return ready;
  }
  while (ready.low < step.count && step.at[step.count - 1 - ready.low] < L::kBits) ++ready.low;
  const int high = step.count - ready.low;
  ready.offsets = offsets_of(step.at, high);
  ready.skipped = ready.offsets.back();
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
void dense(T* tile, int64_t size, const Ready<T>& ready) {
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
      starts[g] = start;
      start = next(start, skipped, kLanes);
    }
    // The next groups, for which the processor does not look far enough ahead.
    for (int64_t row = 0; row < S::kRows; ++row) __builtin_prefetch(tile + start + offsets[row], 1);
    dense_groups<T, Count, Low, S::kTogether>(tile, offsets, starts, masks, matrix);
  }
  for (; group < groups; ++group) {
    dense_groups<T, Count, Low, 1>(tile, offsets, &start, masks, matrix);
    start = next(start, skipped, kLanes);
  }
}

template <class T>
void diagonal(T* tile, int64_t size, const Ready<T>& ready) {
  constexpr int kLanes = Lanes<T>::kCount;
  const int64_t rows = ready.offsets.size(), groups = size / kLanes / rows;
  int64_t start = 0;
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t row = 0; row < rows; ++row) {
      T* at = tile + start + ready.offsets[row];
      store(at, load(at) * ready.spread[row]);
    }
    start = next(start, ready.skipped, kLanes);
  }
}

// Tiles with fewer entries than lanes.
template <class T>
void entry_by_entry(T* tile, int64_t size, const Ready<T>& ready) {
  const int64_t columns = int64_t{1} << ready.count;
  T in[1 << kMaxStepBits];
  int64_t start = 0;
  for (int64_t group = 0; group < size / columns; ++group) {
    for (int64_t column = 0; column < columns; ++column) in[column] = tile[start + ready.offsets[column]];
    for (int64_t row = 0; row < columns; ++row) {
      T sum = 0;
      if (ready.diagonal)
        sum = ready.numbers[row] * in[row];
      else
        for (int64_t column = 0; column < columns; ++column) sum += ready.numbers[row * columns + column] * in[column];
      tile[start + ready.offsets[row]] = sum;
    }
    start = next(start, ready.skipped, 1);
  }
}

template <class T, int Count>
void dense_of(T* tile, int64_t size, const Ready<T>& ready) {
  switch (ready.low) {
    case 0: return dense<T, Count, 0>(tile, size, ready);
    case 1: return dense<T, Count, 1>(tile, size, ready);
    case 2:
      if constexpr (Count >= 2 && Lanes<T>::kBits >= 2) return dense<T, Count, 2>(tile, size, ready);
      break;
    case 3:
      if constexpr (Count >= 3 && Lanes<T>::kBits >= 3) return dense<T, Count, 3>(tile, size, ready);
      break;
    case 4:
      if constexpr (Count >= 4 && Lanes<T>::kBits >= 4) return dense<T, Count, 4>(tile, size, ready);
      break;
  }
}

template <class T>
void apply(T* tile, int64_t size, const Ready<T>& ready) {
  if (ready.scalar) return entry_by_entry(tile, size, ready);
  if (ready.diagonal) return diagonal(tile, size, ready);
  switch (ready.count) {
    case 1: return dense_of<T, 1>(tile, size, ready);
    case 2: return dense_of<T, 2>(tile, size, ready);
    case 3: return dense_of<T, 3>(tile, size, ready);
    case 4: return dense_of<T, 4>(tile, size, ready);
    case 5: return dense_of<T, 5>(tile, size, ready);
    case 6: return dense_of<T, 6>(tile, size, ready);
  }
}

// Where the entries of a tile are: rows that are contiguous in the vector.
struct Rows {
  int64_t length, shift;
  std::vector<int64_t> coarse, fine;
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

// The index whose bits outside of the tile count up.
inline int64_t outside(int64_t number, const int32_t* tile, int count, int bits) {
  int64_t index = 0;
  int taken = 0, k = 0;
  for (int bit = 0; bit < bits; ++bit) {
    if (k < count && tile[k] == bit) {
      ++k;
      continue;
    }
    index |= (number >> taken++ & 1) << bit;
  }
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
  constexpr int64_t kLine = 64 / sizeof(T);
  const int64_t many = rows.fine.size(), total = many * rows.coarse.size();
  auto at = [&](int64_t row) { return vector + rows.coarse[row >> rows.shift] + rows.fine[row & (many - 1)]; };
  for (int64_t row = 0; row < total; ++row) {
    if (row + kRowsAhead < total) {
      const T* soon = at(row + kRowsAhead);
      for (int64_t k = 0; k < rows.length; k += kLine) __builtin_prefetch(soon + k, 1);
    }
    if (back)
      copy_row(at(row), scratch, rows.length);
    else
      copy_row(scratch, at(row), rows.length);
    scratch += rows.length;
  }
}

// Runs a program on `batch` vectors of 2^bits entries each. `code`, as 32-bit integers:
//   passes, then for each: bits of its tile, steps, the tile's bits (ascending), then for each step:
//   1 if it is diagonal, its number of bits, its bits in the tile's index (descending), where its numbers begin.
template <class T, class Parallel>
void run(T* vector, int64_t batch, int bits, const int32_t* code, const T* numbers, Parallel&& parallel) {
  const int passes = *code++;
  for (int pass = 0; pass < passes; ++pass) {
    const int tile_bits = *code++, count = *code++;
    const int32_t* tile = code;
    code += tile_bits;
    std::vector<Ready<T>> steps;
    for (int k = 0; k < count; ++k) {
      Step<T> step;
      step.diagonal = *code++;
      step.count = *code++;
      step.at = code;
      code += step.count;
      step.numbers = numbers + *code++;
      steps.push_back(make_ready(step, tile_bits));
    }
    const Rows rows = rows_of(tile, tile_bits);
    const int64_t size = int64_t{1} << tile_bits, tiles = int64_t{1} << (bits - tile_bits);
    const bool whole = rows.length == size;
    parallel(batch * tiles, size, [&](int64_t number, T* scratch) {
      T* base = vector + ((number / tiles) << bits) + outside(number % tiles, tile, tile_bits, bits);
      T* at = whole ? base : scratch;
      if (!whole) copy_rows(scratch, base, rows, false);
      for (const Ready<T>& step : steps) apply(at, size, step);
      if (!whole) copy_rows(scratch, base, rows, true);
    });
  }
}

}  // namespace qdist
