// The passes for vectors that JAX owns on a GPU: XLA's calling convention, on the stream that XLA computes on, in place.

#include <algorithm>
#include <string>

#include "calls.h"
#include "tiles.h"

namespace ffi = xla::ffi;

namespace {

struct Team {
  qdist::Spot own;

  template <class Each>
  __device__ __forceinline__ void each(Each&& work) {
    work(static_cast<int>(threadIdx.x), own);
    __syncthreads();
  }
};

template <class T>
__global__ void __launch_bounds__(qdist::kThreads, qdist::kBlocks) pass_over_tiles(qdist::Pass<T> pass) {
  extern __shared__ __align__(16) unsigned char memory[];
  Team team;
  qdist::run_block(team, pass, memory, blockIdx.x, gridDim.x);
}

// As many blocks as can run at the same time, each with many tiles: what a block prepares is prepared once.
template <class T>
cudaError_t launch(cudaStream_t stream, const qdist::Pass<T>& pass) {
  const int64_t bytes = pass.shared_bytes();
  int device = 0, processors = 0, blocks = 0;
  cudaError_t problem = cudaGetDevice(&device);
  if (!problem) problem = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  auto* kernel = pass_over_tiles<T>;
  if (!problem) problem = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
  if (!problem)  // the first cache is not used
    problem = cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
  if (!problem)
    problem = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, qdist::kThreads, size_t(bytes));
  if (problem) return problem;
  const int64_t grid = std::min<int64_t>(pass.tiles, int64_t{processors} * std::max(1, blocks));
  kernel<<<static_cast<unsigned>(grid), qdist::kThreads, bytes, stream>>>(pass);
  return cudaGetLastError();
}

template <ffi::DataType kType>
ffi::Error run(cudaStream_t stream, int32_t tile_bits, ffi::Buffer<kType> vector, ffi::Buffer<ffi::S32> code,
               ffi::Buffer<kType> numbers, ffi::ResultBuffer<kType> result) {
  using T = ffi::NativeType<kType>;
  T* data = result->typed_data();
  cudaError_t problem = cudaSuccess;
  if (data != vector.typed_data())  // XLA may decline to alias
    problem = cudaMemcpyAsync(data, vector.typed_data(), vector.size_bytes(), cudaMemcpyDeviceToDevice, stream);
  if (!problem)
    problem = launch<T>(stream, {data, static_cast<int64_t>(vector.element_count()) >> tile_bits, code.typed_data(),
                                 numbers.typed_data(), tile_bits, static_cast<int>(code.element_count()),
                                 static_cast<int>(numbers.element_count())});
  return problem ? ffi::Error::Internal(std::string("a pass over tiles failed: ") + cudaGetErrorString(problem))
                 : ffi::Error::Success();
}

constexpr int kBlocksOfLanes = 4;  // that share a multiprocessor: 2^16 lanes are no more on an H100

template <class T>
__global__ void __launch_bounds__(qdist::kThreads, kBlocksOfLanes) shots_by_lanes(qdist::shots::Batch<T> batch) {
  const int64_t lane = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (lane >= batch.lanes) return;
  for (int64_t shot = lane; shot < batch.shots; shot += batch.lanes) qdist::shots::run(batch, shot, lane);
}

template <ffi::DataType kType>
ffi::Error run_shots(cudaStream_t stream, ffi::Buffer<ffi::S32> code, ffi::Buffer<kType> numbers,
                     ffi::Buffer<kType> values, ffi::Buffer<ffi::S32> where, ffi::ResultBuffer<kType> results,
                     ffi::ResultBuffer<kType> work) {
  using T = ffi::NativeType<kType>;
  const auto batch = qdist::batch_of(code, numbers, values, where, results, work);
  cudaError_t problem = cudaMemsetAsync(batch.results, 0, results->size_bytes(), stream);
  const auto blocks = static_cast<unsigned>((batch.lanes + qdist::kThreads - 1) / qdist::kThreads);
  if (!problem) shots_by_lanes<T><<<blocks, qdist::kThreads, 0, stream>>>(batch);
  if (!problem) problem = cudaGetLastError();
  return problem ? ffi::Error::Internal(std::string("a batch of shots failed: ") + cudaGetErrorString(problem))
                 : ffi::Error::Success();
}

using Stream = ffi::PlatformStream<cudaStream_t>;

template <ffi::DataType kType>
auto tiles_bound() {
  return qdist::with_passes<kType>(ffi::Ffi::Bind().Ctx<Stream>().Attr<int32_t>("tile_bits"));
}

template <ffi::DataType kType>
auto shots_bound() {
  return qdist::with_shots<kType>(ffi::Ffi::Bind().Ctx<Stream>());
}

}  // namespace

QDIST_CALLS(qdist_tiles, run, tiles_bound);
QDIST_CALLS(qdist_shots, run_shots, shots_bound);
