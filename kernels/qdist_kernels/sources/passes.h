// Passes: many small matrices on bits of the index of long vectors, while a tile of the vector is in the cache.
//
// A vector has 2^bits entries; several lie one behind another. A pass takes a tile of them (the entries that differ in
// `tile` bits of their index) to a scratch buffer, applies its steps there, and writes it back. Bits are numbered from 0,
// the least significant. Which bits a tile and a step have are numbers, so nothing is compiled for a new circuit.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "places.h"
#include "steps.h"

namespace qdist {

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

// The bits of a step in the vector's index, if the tile's others are the lowest that they leave: then the step's groups
// lie one behind another in the vector. Empty if they do not.
template <class T>
std::vector<int32_t> in_vector(const Step<T>& step, const int32_t* tile, int tile_bits) {
  std::vector<int32_t> at;
  for (int k = 0; k < step.count; ++k) at.push_back(tile[step.at[k]]);
  const std::vector<int32_t> ascending(at.rbegin(), at.rend());
  int32_t lowest = 0;
  for (const int32_t other : without(tile, tile_bits, ascending.data(), step.count)) {
    while (std::binary_search(ascending.begin(), ascending.end(), lowest)) ++lowest;
    if (other != lowest++) return {};
  }
  return at;
}

constexpr int kFewSteps = 2;  // for which a tile in one row stays where it is

// A pass that is made ready: its tile, where the others of it begin, and its steps.
template <class T>
struct Pass {
  int tile_bits;
  int64_t size;
  Rows rows;
  bool whole;  // it needs no scratch buffer: its tile is one row, or its only step finds its groups in the vector
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

template <class T>
Pass<T> read_pass(const int32_t*& code, const T* numbers, const int32_t* all, int many) {
  Pass<T> pass;
  pass.tile_bits = *code++;
  const int count = *code++;
  const int32_t* tile = code;
  code += pass.tile_bits;
  pass.size = int64_t{1} << pass.tile_bits;
  pass.rows = rows_of(tile, pass.tile_bits);
  pass.left = without(all, many, tile, pass.tile_bits);
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
  // Several steps on far bits are faster in a scratch buffer even if the tile is one row.
  pass.whole = pass.rows.length == pass.size && (count <= kFewSteps || pass.tile_bits <= Place<T>::kPageBits + 1);
  std::vector<int32_t> alone;
  if (!pass.whole && count == 1 && pass.rows.length >= Lanes<T>::kCount) alone = in_vector(steps[0], tile, pass.tile_bits);
  if (!alone.empty()) {
    steps[0].at = alone.data();
    pass.whole = true;
  }
  pass.place = {pass.whole ? 0 : kGap<T>};
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
