// The passes for vectors that JAX owns on a CPU: XLA's calling convention and XLA's threads, in place.

#include "parallel.h"
#include "passes.h"
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
