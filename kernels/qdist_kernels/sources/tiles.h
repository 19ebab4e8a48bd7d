// Passes on a GPU: a block of threads takes a tile of a vector to shared memory, applies all steps of the pass to it,
// and writes it back. The same source runs on a CPU, thread after thread, for tests (emulated.cc).
//
// Everything about bits is linear over XOR: the entry of a tile whose index is i ^ j lies at address(i) ^ address(j) of
// the shared memory. The host says where the entry of each bit lies (cuda.py), so that the lanes of a warp never meet in
// a bank; here such addresses are only combined.
//
// Why it is limited by the memory of the GPU: a thread reads up to kAhead chunks of 16 bytes before it needs the first,
// 32 KiB a block; kBlocks blocks share a multiprocessor, so while one loads, others compute. A copy that reads 1.5 TB/s
// with a latency of a microsecond needs 12 KiB on their way to each of the 132 multiprocessors of an H100. Each number of
// a matrix, which all lanes read at once, is used for up to 8 groups of entries, so products do not wait for it.

#pragma once

#include <cstdint>

#include "device.h"

namespace qdist {

constexpr int kThreadBits = 7, kThreads = 1 << kThreadBits;
constexpr int kBlocks = 3;  // that share a multiprocessor: 168 registers a thread, 75 KiB of shared memory each
constexpr int kAhead = 16;

template <class T>
struct alignas(16) Chunk {
  static constexpr int kEntries = 16 / sizeof(T), kBits = sizeof(T) == 4 ? 2 : 1;
  T entry[kEntries];
};

// From and to the memory of the GPU: a tile passes the first cache, which could not hold it.
template <class T>
QDIST_DEVICE Chunk<T> fetched(const T* from) {
#ifdef __CUDA_ARCH__
  const int4 words = __ldcg(reinterpret_cast<const int4*>(from));
  return *reinterpret_cast<const Chunk<T>*>(&words);
#else
  return *reinterpret_cast<const Chunk<T>*>(from);
#endif
}

template <class T>
QDIST_DEVICE void written(T* to, const Chunk<T>& chunk) {
#ifdef __CUDA_ARCH__
  __stcg(reinterpret_cast<int4*>(to), *reinterpret_cast<const int4*>(&chunk));
#else
  *reinterpret_cast<Chunk<T>*>(to) = chunk;
#endif
}

// N numbers that all threads read.
template <int N, class T>
QDIST_DEVICE void copied(const T* from, T (&to)[N]) {
  constexpr int kEntries = Chunk<T>::kEntries;
  if constexpr (N % kEntries == 0) {
    QDIST_UNROLL
    for (int k = 0; k < N / kEntries; ++k) {
      const Chunk<T> chunk = *reinterpret_cast<const Chunk<T>*>(from + k * kEntries);
      QDIST_UNROLL
      for (int e = 0; e < kEntries; ++e) to[k * kEntries + e] = chunk.entry[e];
    }
  } else {
    QDIST_UNROLL
    for (int k = 0; k < N; ++k) to[k] = from[k];
  }
}

// The sum (XOR) of the parts of a number's bits.
QDIST_DEVICE int32_t combined(const int32_t* parts, int number, int count) {
  int32_t sum = 0;
  for (int k = 0; k < count; ++k) sum ^= number >> k & 1 ? parts[k] : 0;
  return sum;
}

// The same for an offset in the vector, where parts are numbers of bits.
QDIST_DEVICE int64_t placed(const int32_t* bits, int number, int count) {
  int64_t sum = 0;
  for (int k = 0; k < count; ++k) sum |= static_cast<int64_t>(number >> k & 1) << bits[k];
  return sum;
}

// An entry of a tile; addresses are in bytes.
template <class T>
QDIST_DEVICE T& entry(T* tile, int32_t address) {
  return *reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(tile) + address);
}

// Where a chunk lies: in the vector from the beginning of its tile, and in shared memory.
struct Spot {
  int64_t place;
  int32_t address;
};

// `code`, as 32-bit integers:
//   steps, gaps, 0, 0; then for each gap (a run of the tile's bits) its first bit and its length, ascending;
//   then the address of each bit of the tile, the entries of a chunk lying side by side; its bit in the vector;
//   then, from a multiple of 4, each step:
//   1 if it is dense, its bits k, where its numbers begin (a multiple of 4), the length of what follows (as well);
//   the address of each of its 2^k rows; if it is not dense, that of the entry that becomes the row, times the factor
//   that is its number; the addresses of all other bits of the tile, those that lanes take first.
template <class T>
struct Pass {
  T* vector;
  int64_t tiles;
  const int32_t* code;
  const T* numbers;
  int tile_bits, codes, count;  // integers of code and numbers: multiples of 4

  QDIST_HOST_TOO int rounds() const { return 1 << (tile_bits - Chunk<T>::kBits - kThreadBits); }
  QDIST_HOST_TOO int64_t shared_bytes() const {
    return (static_cast<int64_t>(sizeof(T)) << tile_bits) + count * sizeof(T) + codes * sizeof(int32_t) +
           rounds() * sizeof(Spot);
  }
};

template <class T>
struct Shared {
  T* tile;
  T* numbers;
  Spot* spots;  // of the first thread's chunk in each round
  int32_t* code;

  QDIST_DEVICE Shared(unsigned char* memory, const Pass<T>& pass)
      : tile(reinterpret_cast<T*>(memory)),
        numbers(tile + (1 << pass.tile_bits)),
        spots(reinterpret_cast<Spot*>(numbers + pass.count)),
        code(reinterpret_cast<int32_t*>(spots + pass.rounds())) {}
};

template <class T>
QDIST_DEVICE void take_program(const Shared<T>& shared, const Pass<T>& pass, int thread) {
  auto* code = reinterpret_cast<Chunk<int32_t>*>(shared.code);
  for (int k = thread; k < pass.codes / 4; k += kThreads) code[k] = fetched(pass.code + 4 * k);
  constexpr int kEntries = Chunk<T>::kEntries;
  auto* numbers = reinterpret_cast<Chunk<T>*>(shared.numbers);
  for (int k = thread; k < pass.count / kEntries; k += kThreads) numbers[k] = fetched(pass.numbers + kEntries * k);
}

// Where the chunks of this thread lie, beside those of the first; and those of the first in a round.
template <class T>
QDIST_DEVICE Spot find_spots(const Shared<T>& shared, const Pass<T>& pass, int thread) {
  const int32_t* addresses = shared.code + 4 + 2 * shared.code[1] + Chunk<T>::kBits;
  const int32_t* bits = addresses + pass.tile_bits;
  const int above = pass.tile_bits - Chunk<T>::kBits - kThreadBits;
  if (thread < pass.rounds())
    shared.spots[thread] = {placed(bits + kThreadBits, thread, above), combined(addresses + kThreadBits, thread, above)};
  return {placed(bits, thread, kThreadBits), combined(addresses, thread, kThreadBits)};
}

// Where a tile begins: its number, with a zero for each of the tile's bits.
QDIST_DEVICE int64_t beginning(const int32_t* code, int64_t number) {
  for (int gap = 0; gap < code[1]; ++gap) {
    const int first = code[4 + 2 * gap], length = code[5 + 2 * gap];
    const int64_t below = (int64_t{1} << first) - 1;
    number = (number & ~below) << length | (number & below);
  }
  return number;
}

// Some rounds, all of which are asked for before the first one is needed.
template <int Rounds, class T>
QDIST_DEVICE void load(T* tile, const Spot* spots, const Spot& own, const T* from) {
  Chunk<T> chunks[Rounds];
  QDIST_UNROLL
  for (int k = 0; k < Rounds; ++k) chunks[k] = fetched(from + own.place + spots[k].place);
  QDIST_UNROLL
  for (int k = 0; k < Rounds; ++k) {
    const int32_t address = own.address ^ spots[k].address;
    QDIST_UNROLL
    for (int e = 0; e < Chunk<T>::kEntries; ++e) entry(tile, address ^ e * static_cast<int>(sizeof(T))) = chunks[k].entry[e];
  }
}

template <class T>
QDIST_DEVICE void load(const Shared<T>& shared, const Pass<T>& pass, const Spot& own, const T* from) {
  const int rounds = pass.rounds(), together = rounds - rounds % kAhead;
  QDIST_ROLLED
  for (int first = 0; first < together; first += kAhead) load<kAhead>(shared.tile, shared.spots + first, own, from);
  QDIST_ROLLED
  for (int first = together; first < rounds; ++first) load<1>(shared.tile, shared.spots + first, own, from);
}

template <class T>
QDIST_DEVICE void store(const Shared<T>& shared, const Pass<T>& pass, const Spot& own, T* to) {
  const int rounds = pass.rounds();
  QDIST_BY_FOUR
  for (int k = 0; k < rounds; ++k) {
    const Spot& spot = shared.spots[k];
    const int32_t address = own.address ^ spot.address;
    Chunk<T> chunk;
    QDIST_UNROLL
    for (int e = 0; e < Chunk<T>::kEntries; ++e) chunk.entry[e] = entry(shared.tile, address ^ e * static_cast<int>(sizeof(T)));
    written(to + own.place + spot.place, chunk);
  }
}

QDIST_HOST_TOO constexpr int at_most(int value, int limit) { return value < limit ? value : limit; }
QDIST_HOST_TOO constexpr int at_least(int value, int limit) { return value > limit ? value : limit; }
QDIST_HOST_TOO constexpr int log2_of(int value) { return value <= 1 ? 0 : 1 + log2_of(value / 2); }

// Groups of 2^Count entries that a thread multiplies at a time, up to 128 registers of entries: what all lanes read, the
// matrix, is read half as often as with 64. 8 sums hide the latency of a product. Where a group itself is large there are
// fewer of both, or registers would be spilled.
template <class T, int Count>
struct Shape {
  static constexpr int kRows = 1 << Count;
  static constexpr int kBytes = Count < 5 && sizeof(T) == 4 ? 512 : 256;
  static constexpr int kTogether = at_most(8, at_least(1, kBytes / static_cast<int>(sizeof(T)) / kRows));
  static constexpr int kTogetherBits = log2_of(kTogether);
  static constexpr int kSums = Count < 6 ? 8 : 8 / static_cast<int>(sizeof(T));
  static constexpr int kBlock = at_most(kRows, kSums / kTogether);
};

template <int Count, class T>
QDIST_DEVICE void multiply(T* tile, const T* matrix, const int32_t* code, int tile_bits, int thread) {
  using S = Shape<T, Count>;
  constexpr int kRows = S::kRows, kTogether = S::kTogether, kEntries = at_most(Chunk<T>::kEntries, kRows);
  const int thread_bits = at_most(kThreadBits, tile_bits - Count - S::kTogetherBits);
  if (thread >> thread_bits) return;
  const int32_t* parts = code + kRows;
  const int32_t own = combined(parts, thread, thread_bits);
  parts += thread_bits;
  int32_t beside[kTogether];
  QDIST_UNROLL
  for (int g = 0; g < kTogether; ++g) beside[g] = own ^ combined(parts, g, S::kTogetherBits);
  parts += S::kTogetherBits;
  const int more = tile_bits - Count - thread_bits - S::kTogetherBits;
  QDIST_ROLLED
  for (int round = 0; round < 1 << more; ++round) {
    const int32_t start = combined(parts, round, more);
    T in[kRows][kTogether];
    {
      int32_t rows[kRows];
      copied(code, rows);
      QDIST_UNROLL
      for (int row = 0; row < kRows; ++row)
        QDIST_UNROLL
        for (int g = 0; g < kTogether; ++g) in[row][g] = entry(tile, start ^ beside[g] ^ rows[row]);
    }
    QDIST_BY_TWO
    for (int first = 0; first < kRows; first += S::kBlock) {
      T sums[S::kBlock][kTogether] = {};
      QDIST_UNROLL
      for (int column = 0; column < kRows; column += kEntries)
        QDIST_UNROLL
        for (int row = 0; row < S::kBlock; ++row) {
          T factors[kEntries];
          copied(matrix + (first + row) * kRows + column, factors);
          QDIST_UNROLL
          for (int e = 0; e < kEntries; ++e)
            QDIST_UNROLL
            for (int g = 0; g < kTogether; ++g) sums[row][g] += factors[e] * in[column + e][g];
        }
      QDIST_UNROLL
      for (int row = 0; row < S::kBlock; ++row) {
        const int32_t to = start ^ code[first + row];
        QDIST_UNROLL
        for (int g = 0; g < kTogether; ++g) entry(tile, to ^ beside[g]) = sums[row][g];
      }
    }
  }
}

// Rows that are one entry each, times a factor: Pauli scaling, signed permutations, projections.
template <int Count, class T>
QDIST_DEVICE void move(T* tile, const T* factors, const int32_t* code, int tile_bits, int thread) {
  constexpr int kRows = 1 << Count;
  const int groups = tile_bits - Count;
  QDIST_ROLLED
  for (int group = thread; group < 1 << groups; group += kThreads) {
    const int32_t start = combined(code + 2 * kRows, group, groups);
    T in[kRows];
    QDIST_UNROLL
    for (int row = 0; row < kRows; ++row) in[row] = entry(tile, start ^ code[kRows + row]) * factors[row];
    QDIST_UNROLL
    for (int row = 0; row < kRows; ++row) entry(tile, start ^ code[row]) = in[row];
  }
}

template <int Count, class T>
QDIST_DEVICE void apply(T* tile, const T* numbers, const int32_t* step, int tile_bits, int thread) {
  if (step[0])
    multiply<Count>(tile, numbers + step[2], step + 4, tile_bits, thread);
  else
    move<Count>(tile, numbers + step[2], step + 4, tile_bits, thread);
}

template <class T>
QDIST_DEVICE void apply(const Shared<T>& shared, const int32_t* step, int tile_bits, int thread) {
  switch (step[1]) {
    case 1: return apply<1>(shared.tile, shared.numbers, step, tile_bits, thread);
    case 2: return apply<2>(shared.tile, shared.numbers, step, tile_bits, thread);
    case 3: return apply<3>(shared.tile, shared.numbers, step, tile_bits, thread);
    case 4: return apply<4>(shared.tile, shared.numbers, step, tile_bits, thread);
    case 5: return apply<5>(shared.tile, shared.numbers, step, tile_bits, thread);
    case 6: return apply<6>(shared.tile, shared.numbers, step, tile_bits, thread);
  }
}

// What a block does: every `by`-th tile from `first` on. `team.each` calls a function with the number of each thread and
// where its chunks lie, and returns when all have come back from it.
template <class T, class Team>
QDIST_DEVICE void run_block(Team& team, const Pass<T>& pass, unsigned char* memory, int64_t first, int64_t by) {
  const Shared<T> shared(memory, pass);
  team.each([&](int thread, Spot&) { take_program(shared, pass, thread); });
  team.each([&](int thread, Spot& own) { own = find_spots(shared, pass, thread); });
  const int32_t* steps = shared.code + (4 + 2 * shared.code[1] + 2 * pass.tile_bits + 3) / 4 * 4;
  for (int64_t number = first; number < pass.tiles; number += by) {
    T* at = pass.vector + beginning(shared.code, number);
    team.each([&](int, Spot& own) { load(shared, pass, own, at); });
    const int32_t* step = steps;
    for (int k = 0; k < shared.code[0]; ++k) {
      team.each([&](int thread, Spot&) { apply(shared, step, pass.tile_bits, thread); });
      step += 4 + step[3];
    }
    team.each([&](int, Spot& own) { store(shared, pass, own, at); });
  }
}

}  // namespace qdist
