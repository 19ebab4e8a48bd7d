// Vectors of the compiler: they carry the lowest bits of an index (lanes), whichever instructions there are.

#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace qdist {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

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

}  // namespace qdist
