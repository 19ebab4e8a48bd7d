// What XLA's calls have in common on a CPU and on a GPU.

#pragma once

#include <utility>

#include "shots.h"
#include "xla/ffi/api/ffi.h"

namespace qdist {

namespace ffi = xla::ffi;

template <ffi::DataType kType>
shots::Batch<ffi::NativeType<kType>> batch_of(ffi::Buffer<ffi::S32> code, ffi::Buffer<kType> numbers,
                                              ffi::Buffer<kType> values, ffi::Buffer<ffi::S32> where,
                                              ffi::ResultBuffer<kType> results, ffi::ResultBuffer<kType> work) {
  return {code.typed_data(), numbers.typed_data(), values.typed_data(), where.typed_data(),
          results->typed_data(), work->typed_data(), results->dimensions()[1], work->dimensions()[1]};
}

// The arguments of a batch of shots and its results, after what a platform gives.
template <ffi::DataType kType, class Binding>
auto with_shots(Binding&& given) {
  return std::forward<Binding>(given)
      .template Arg<ffi::Buffer<ffi::S32>>()
      .template Arg<ffi::Buffer<kType>>()
      .template Arg<ffi::Buffer<kType>>()
      .template Arg<ffi::Buffer<ffi::S32>>()
      .template Ret<ffi::Buffer<kType>>()
      .template Ret<ffi::Buffer<kType>>();
}

// The arguments of passes over a vector, after what a platform gives, and the vector after them.
template <ffi::DataType kType, class Binding>
auto with_passes(Binding&& given) {
  return std::forward<Binding>(given)
      .template Arg<ffi::Buffer<kType>>()
      .template Arg<ffi::Buffer<ffi::S32>>()
      .template Arg<ffi::Buffer<kType>>()
      .template Ret<ffi::Buffer<kType>>();
}

}  // namespace qdist

// A function in both precisions, and how it is bound.
#define QDIST_CALLS(name, function, binding)                                                    \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name##_f32, function<xla::ffi::F32>, binding<xla::ffi::F32>()); \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(name##_f64, function<xla::ffi::F64>, binding<xla::ffi::F64>())
