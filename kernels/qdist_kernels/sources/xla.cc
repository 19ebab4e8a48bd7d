// The passes for vectors that JAX owns on a CPU: XLA's calling convention and XLA's threads, in place.

#include "calls.h"
#include "parallel.h"
#include "passes.h"

namespace ffi = xla::ffi;

namespace {

template <ffi::DataType kType>
ffi::Error passes(ffi::ThreadPool pool, int32_t bits, int32_t threads, ffi::Buffer<kType> vector,
                  ffi::Buffer<ffi::S32> code, ffi::Buffer<kType> numbers, ffi::ResultBuffer<kType> result) {
  using T = ffi::NativeType<kType>;
  T* data = result->typed_data();
  const T* given = vector.typed_data();
  const int64_t size = vector.element_count();
  if (data != given) std::copy(given, given + size, data);  // XLA may decline to alias
  const int free = static_cast<int>(std::min<int64_t>(threads, pool.num_threads() + 1));
  qdist::run<T>(data, size >> bits, bits, code.typed_data(), numbers.typed_data(), free,
                [&](int64_t tiles, int64_t size, int64_t room, auto&& each) {
                  qdist::parallel<T>(tiles, size, room, free, each, [&](auto work) { pool.Schedule(std::move(work)); });
                });
  return ffi::Error::Success();
}

// What a GPU does to batches of shots, one after another.
template <ffi::DataType kType>
ffi::Error run_shots(ffi::Buffer<ffi::S32> code, ffi::Buffer<kType> numbers, ffi::Buffer<kType> values,
                     ffi::Buffer<ffi::S32> where, ffi::ResultBuffer<kType> results, ffi::ResultBuffer<kType> work) {
  const auto batch = qdist::batch_of(code, numbers, values, where, results, work);
  std::fill_n(batch.results, results->element_count(), 0);
  for (int64_t shot = 0; shot < batch.shots; ++shot) qdist::shots::run(batch, shot, shot % batch.lanes);
  return ffi::Error::Success();
}

template <ffi::DataType kType>
auto passes_bound() {
  auto given = ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Attr<int32_t>("bits").Attr<int32_t>("threads");
  return qdist::with_passes<kType>(std::move(given));
}

template <ffi::DataType kType>
auto shots_bound() {
  return qdist::with_shots<kType>(ffi::Ffi::Bind());
}

}  // namespace

QDIST_CALLS(qdist_passes, passes, passes_bound);
QDIST_CALLS(qdist_shots, run_shots, shots_bound);
