// How code for a GPU is marked, which a CPU compiles as it is.

#pragma once

#ifdef __CUDACC__
#define QDIST_DEVICE __device__ __forceinline__
#define QDIST_HOST_TOO __host__ __device__ __forceinline__
#define QDIST_UNROLL _Pragma("unroll")
#define QDIST_BY_FOUR _Pragma("unroll 4")
#define QDIST_BY_TWO _Pragma("unroll 2")
#define QDIST_ROLLED _Pragma("unroll 1")
#else
#define QDIST_DEVICE inline
#define QDIST_HOST_TOO inline
#define QDIST_UNROLL
#define QDIST_BY_FOUR
#define QDIST_BY_TWO
#define QDIST_ROLLED
#endif
