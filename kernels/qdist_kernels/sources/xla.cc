// The passes for vectors that JAX owns on a CPU: XLA's calling convention and XLA's threads, in place.

#include "parallel.h"
#include "passes.h"
#include "shots.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

template <ffi::DataType kType>
ffi::Error passes(ffi::ThreadPool pool, ffi::Buffer<kType> vector, ffi::Buffer<ffi::S32> code,
                  ffi::Buffer<kType> numbers, int32_t bits, int32_t threads, ffi::ResultBuffer<kType> result) {
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
  using T = ffi::NativeType<kType>;
  const qdist::shots::Batch<T> batch{code.typed_data(), numbers.typed_data(), values.typed_data(), where.typed_data(),
                              results->typed_data(), work->typed_data(), results->dimensions()[1], work->dimensions()[1]};
  std::fill_n(batch.results, results->element_count(), T(0));
  for (int64_t shot = 0; shot < batch.shots; ++shot) qdist::shots::run(batch, shot, shot % batch.lanes);
  return ffi::Error::Success();
}

}  // namespace

#define QDIST_PASSES(name, type)                     \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, passes<type>,  \
                                ffi::Ffi::Bind()     \
                                    .Ctx<ffi::ThreadPool>()      \
                                    .Arg<ffi::Buffer<type>>()    \
                                    .Arg<ffi::Buffer<ffi::S32>>() \
                                    .Arg<ffi::Buffer<type>>()    \
                                    .Attr<int32_t>("bits")       \
                                    .Attr<int32_t>("threads")    \
                                    .Ret<ffi::Buffer<type>>())

QDIST_PASSES(qdist_passes_f32, ffi::F32);
QDIST_PASSES(qdist_passes_f64, ffi::F64);

#define QDIST_SHOTS(name, type)                                      \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name, run_shots<type>,               \
                                ffi::Ffi::Bind()                     \
                                    .Arg<ffi::Buffer<ffi::S32>>()    \
                                    .Arg<ffi::Buffer<type>>()        \
                                    .Arg<ffi::Buffer<type>>()        \
                                    .Arg<ffi::Buffer<ffi::S32>>()    \
                                    .Ret<ffi::Buffer<type>>()        \
                                    .Ret<ffi::Buffer<type>>())

QDIST_SHOTS(qdist_shots_f32, ffi::F32);
QDIST_SHOTS(qdist_shots_f64, ffi::F64);
