// One matrix a shot on digits of a batch of small vectors that is stored entry by entry: shots lie next to one another.
//
// The matrix is given by its entries that are not zero. Those of one row (and, of a product of two vectors, of one
// column of the second) are a group. Shots are taken a few hundred at a time, so what is read again is in the cache.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace qdist {

constexpr int64_t kShots = 256;  // at a time: 16 rows of a double take half of a small L1 cache

// Where the entries of a vector are, in entries: those of each value of the digits that are contracted, and of the others.
template <class T>
struct Digits {
  T* data;
  int64_t shots;  // 1 if all shots share the vector
  const int64_t* columns;
  const int64_t* rest;
  int64_t count;  // of `rest`

  T* at(int64_t column, int64_t other, int64_t shot) const {
    return data + (columns[column] + rest[other]) * shots + (shots == 1 ? 0 : shot);
  }
};

// n values that are one a shot, or n times the same one.
template <class T>
inline const T* spread(const T* values, bool same, int64_t n, T* buffer) {
  if (!same) return values;
  std::fill(buffer, buffer + n, *values);
  return buffer;
}

template <class T>
inline void multiply(const T* __restrict a, const T* __restrict b, T* __restrict out, int64_t n, bool add) {
  if (add) {
    for (int64_t s = 0; s < n; ++s) out[s] += a[s] * b[s];
  } else {
    for (int64_t s = 0; s < n; ++s) out[s] = a[s] * b[s];
  }
}

// out[row, r, q] = Σ value · left[column, r] · right[other, q] over the entries of a row.
//
// A group is (row, other, its first entry, how many it has); those of one row follow one another. An entry is
// (column, value), with one value a shot or the same for all. Without `right`, other and q are not there.
template <class T>
void contract(const Digits<T>& out, const Digits<T>& left, const Digits<T>& right, int64_t rows, int64_t groups,
              const int64_t* group, const int64_t* columns, const T* const* values, const int8_t* same) {
  const int64_t shots = out.shots;
  std::vector<int8_t> written(rows);
  alignas(64) T sum[kShots], one[kShots], two[kShots];
  for (int64_t start = 0; start < shots; start += kShots) {
    const int64_t n = std::min(kShots, shots - start);
    std::fill(written.begin(), written.end(), 0);
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t row = group[4 * g], other = group[4 * g + 1], first = group[4 * g + 2], count = group[4 * g + 3];
      for (int64_t r = 0; r < left.count; ++r) {
        // Without a second vector the sum is the result.
        T* target = right.data ? sum : out.at(row, r, start);
        for (int64_t k = first; k < first + count; ++k) {
          const T* value = spread(values[k] + (same[k] ? 0 : start), same[k], n, one);
          const T* entry = spread<T>(left.at(columns[k], r, start), left.shots == 1 && shots > 1, n, two);
          multiply(value, entry, target, n, k > first);
        }
        for (int64_t q = 0; right.data && q < right.count; ++q) {
          const T* entry = spread<T>(right.at(other, q, start), right.shots == 1 && shots > 1, n, two);
          multiply<T>(sum, entry, out.at(row, r * right.count + q, start), n, written[row]);
        }
      }
      written[row] = 1;
    }
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t r = 0; !written[row] && r < out.count; ++r) std::fill_n(out.at(row, r, start), n, T(0));
  }
}

}  // namespace qdist
