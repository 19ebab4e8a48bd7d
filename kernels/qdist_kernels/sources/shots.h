// A program of a batch of shots: what one thread does to one shot, from its vectors and random numbers to what is seen
// of it. The same source runs on a CPU, shot after shot, for tests (emulated.cc, xla.cc).
//
// A shot has some hundred numbers, and all shots do the same, so there is nothing to share between threads, nor to wait
// for: numbers of a kind lie next to one another, those of neighboring lanes in neighboring words. The program is data,
// read by all at the same time: no plan is ever compiled.

#pragma once

#include <cstdint>

#include "device.h"

namespace qdist::shots {

enum Kind : int32_t { kNone = -1, kNumbers = 0, kWork = 1, kResults = 2, kValues = 3, kChoice = 4 };
enum Does : int32_t { kSums = 1, kDraws = 2, kTests = 3, kBoth = 4 };

// Philox 4x64 with ten rounds, as NumPy has it: number `shot` of the stream of two keys, in [0, 1).
QDIST_DEVICE uint64_t high(uint64_t a, uint64_t b) {
#ifdef __CUDA_ARCH__
  return __umul64hi(a, b);
#else
  return static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b >> 64);
#endif
}

QDIST_DEVICE double uniform(uint64_t seed, uint64_t purpose, int64_t shot) {
  constexpr uint64_t kFirst = 0xD2E7470EE14C6C93, kSecond = 0xCA5A826395121157;
  uint64_t number[4] = {static_cast<uint64_t>(shot / 4 + 1), 0, 0, 0};
  QDIST_UNROLL
  for (int round = 0; round < 10; ++round) {
    const uint64_t top = high(kFirst, number[0]), low = kFirst * number[0];
    const uint64_t other_top = high(kSecond, number[2]), other_low = kSecond * number[2];
    number[0] = other_top ^ number[1] ^ seed, number[1] = other_low;
    number[2] = top ^ number[3] ^ purpose, number[3] = low;
    seed += 0x9E3779B97F4A7C15, purpose += 0xBB67AE8584CAA73B;
  }
  const int64_t word = shot % 4;
  const uint64_t chosen = word < 2 ? (word ? number[1] : number[0]) : word < 3 ? number[2] : number[3];
  return static_cast<double>(chosen >> 11) * 0x1p-53;
}

// What a batch has; `qdist_kernels/shots.py` writes `code`.
//   numbers: the same for all shots; values, results: (rows, shots); work: (rows, lanes).
template <class T>
struct Batch {
  const int32_t* code;
  const T* numbers;
  const T* values;
  const int32_t* where;  // seed and first shot, each in two parts, the lower one first
  T* results;
  T* work;
  int64_t shots, lanes;
};

template <class T>
struct Rows {
  T* data;
  int64_t stride;
  QDIST_DEVICE T& operator[](int64_t row) const { return data[row * stride]; }
};

// One shot, and the lane that has it.
template <class T>
struct Shot {
  const Batch<T>& batch;
  int64_t shot, lane;
  uint64_t seed;
  int64_t first;

  QDIST_DEVICE Shot(const Batch<T>& all, int64_t number, int64_t own) : batch(all), shot(number), lane(own) {
    const auto joined = [&](int k) {
      return static_cast<uint64_t>(static_cast<uint32_t>(all.where[k])) |
             static_cast<uint64_t>(static_cast<uint32_t>(all.where[k + 1])) << 32;
    };
    seed = joined(0), first = static_cast<int64_t>(joined(2));
  }

  QDIST_DEVICE Rows<T> rows(int32_t kind, int32_t base) const {
    switch (kind) {
      case kWork: return {batch.work + base * batch.lanes + lane, batch.lanes};
      case kResults: return {batch.results + base * batch.shots + shot, batch.shots};
      case kValues: return {const_cast<T*>(batch.values) + base * batch.shots + shot, batch.shots};
      default: return {const_cast<T*>(batch.numbers) + base, 1};
    }
  }

  QDIST_DEVICE T& work(int32_t row) const { return batch.work[row * batch.lanes + lane]; }

  // A number, one a shot, or one of a few as a row of `work` says.
  QDIST_DEVICE T value(const int32_t* of) const {
    if (of[0] == kValues) return batch.values[of[1] * batch.shots + shot];
    return batch.numbers[of[1] + (of[0] == kChoice ? static_cast<int32_t>(work(of[2])) : 0)];
  }

  QDIST_DEVICE double drawn(int32_t purpose, int32_t second) const {
    const uint64_t key = (static_cast<uint64_t>(purpose) << 32) + static_cast<uint64_t>(second);
    return uniform(seed, key, first + shot);
  }
};

// out[row, r, q] = factor · Σ value · left[column, r] · right[other, q]
//
// After the head: where rows of the result are, and its other entries; the same of left and of right; groups (row, other,
// first entry, entries, whether it adds); entries (column, value). A group is what one row has of one `other`.
template <class T>
QDIST_DEVICE void sums(const Shot<T>& shot, const int32_t* code) {
  const Rows<T> out = shot.rows(code[0], code[1]), left = shot.rows(code[2], code[3]), right = shot.rows(code[4], code[5]);
  const bool is_alone = code[4] == kNone;
  const T factor = code[6] < 0 ? T(1) : shot.work(code[6]);
  const int32_t firsts = code[8], seconds = code[10], groups = code[11];
  const int32_t* to = code + 13;
  const int32_t* to_rest = to + code[7];
  const int32_t* from = to_rest + firsts * seconds;
  const int32_t* from_rest = from + code[12];
  const int32_t* other = from_rest + firsts;
  const int32_t* other_rest = other + code[9];
  const int32_t* group = other_rest + seconds;
  const int32_t* entries = group + 5 * groups;
  for (int32_t g = 0; g < groups; ++g, group += 5) {
    for (int32_t r = 0; r < firsts; ++r) {
      T sum = 0;
      for (int32_t k = group[2]; k < group[2] + group[3]; ++k)
        sum += shot.value(entries + 4 * k + 1) * left[from[entries[4 * k]] + from_rest[r]];
      sum *= factor;
      for (int32_t q = 0; q < seconds; ++q) {
        const T term = is_alone ? sum : sum * right[other[group[1]] + other_rest[q]];
        T& entry = out[to[group[0]] + to_rest[r * seconds + q]];
        entry = group[4] ? entry + term : term;
      }
    }
  }
}

// Chances from the vector, an outcome, a bit that is read of it, and one over the outcome's probability.
template <class T>
QDIST_DEVICE void draw(const Shot<T>& shot, const int32_t* code) {
  const Rows<T> left = shot.rows(code[0], code[1]), right = shot.rows(code[2], code[3]);
  const int32_t firsts = code[4], seconds = code[5];
  const Rows<T> chances = shot.rows(kNumbers, code[6]);
  const int32_t* from = code + 16;
  const int32_t* other = from + firsts;
  double zero = 0, one = 0;
  for (int32_t f = 0; f < firsts; ++f)
    for (int32_t s = 0; s < seconds; ++s) {
      const T digit = code[2] == kNone ? left[from[f]] : left[from[f]] * right[other[s]];
      zero += static_cast<double>(digit) * static_cast<double>(chances[f * seconds + s]);
      one += static_cast<double>(digit) * static_cast<double>(chances[(firsts + f) * seconds + s]);
    }
  zero = zero > 0 ? zero : 0, one = one > 0 ? one : 0;
  const double total = zero + one;
  T& failed = shot.rows(kResults, code[15])[0];
  if (!(total > 0) && failed == T(0)) failed = T(code[14]);
  int outcome = total > 0 && shot.drawn(code[7], 0) >= zero / total;
  int read = outcome;
  if (code[8] >= 0) read ^= shot.drawn(code[7], 1) < static_cast<double>(shot.rows(kNumbers, code[8])[outcome]);
  const double probability = outcome ? one : zero;
  T factor = probability > 0 ? static_cast<T>(1 / probability) : T(1);
  if (code[9] >= 0 && shot.work(code[9]) == T(0)) {
    read = static_cast<int>(shot.rows(code[12], code[13])[0]);
    outcome = 2, factor = T(1);
  }
  shot.work(code[10]) = T(outcome);
  shot.work(code[10] + 1) = factor;
  shot.work(code[11]) = T(read);
}

// A question to bits: by their parity, or by a table of answers.
template <class T>
QDIST_DEVICE void test(const Shot<T>& shot, const int32_t* code) {
  int32_t sum = 0, integer = 0;
  for (int32_t k = 0; k < code[3]; ++k) {
    const int32_t bit = static_cast<int32_t>(shot.work(code[4 + k]));
    sum += bit, integer |= bit << k;
  }
  shot.work(code[0]) = code[1] < 0 ? T(sum % 2 == code[2]) : shot.rows(kNumbers, code[1])[integer];
}

// Instructions are (what it does, how long it is, …); the last one does nothing.
template <class T>
QDIST_DEVICE void run(const Batch<T>& batch, int64_t number, int64_t lane) {
  const Shot<T> shot(batch, number, lane);
  for (const int32_t* code = batch.code; code[0] != 0; code += code[1]) {
    switch (code[0]) {
      case kSums: sums(shot, code + 2); break;
      case kDraws: draw(shot, code + 2); break;
      case kTests: test(shot, code + 2); break;
      case kBoth: shot.work(code[2]) = shot.work(code[3]) * shot.work(code[4]); break;
    }
  }
}

}  // namespace qdist::shots
