// Where the entries of a tile are, in the vector and in a scratch buffer, and the ways between.
//
// Scratch buffers leave a line of the cache free every 4 KiB (`Place`): entries that are a power of two apart would all
// fall into the same few lines of the L1 cache. On the way there the lowest bits of the index, which are lanes, may trade
// places with others.

#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include "lanes.h"

namespace qdist {

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

inline std::vector<int64_t> offsets_of(const int32_t* at, int count) {
  std::vector<int64_t> found(int64_t{1} << count, 0);
  for (int64_t value = 0; value < int64_t(found.size()); ++value)
    for (int k = 0; k < count; ++k)
      if (value >> (count - 1 - k) & 1) found[value] |= int64_t{1} << at[k];
  return found;
}

// The next index whose bits in `skipped` are all 0, in steps of `by`.
inline int64_t next(int64_t index, int64_t skipped, int64_t by) { return ((index | skipped) + by) & ~skipped; }

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

}  // namespace qdist
