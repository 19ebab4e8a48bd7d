// The passes for vectors that NumPy owns: a plain C interface, and threads that wait for work between two calls.

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>

#include "batches.h"
#include "parallel.h"
#include "passes.h"

namespace {

// Threads that live as long as the process; a child of a fork gets its own.
class Pool {
 public:
  static Pool& get() {
    static std::mutex mutex;
    static Pool* pool = nullptr;
    std::lock_guard<std::mutex> lock(mutex);
    if (pool == nullptr || pool->process_ != getpid()) pool = new Pool;  // threads may outlive any destructor
    return *pool;
  }

  void schedule(std::function<void()> work, int threads) {
    std::lock_guard<std::mutex> lock(mutex_);
    while (started_ < threads) {
      ++started_;
      std::thread([this] { wait_for_work(); }).detach();
    }
    waiting_.push_back(std::move(work));
    count_.fetch_add(1, std::memory_order_release);
    wake_.notify_one();
  }

 private:
  void wait_for_work() {
    for (;;) {
      for (int spin = 0; spin < kSpins && count_.load(std::memory_order_acquire) == 0; ++spin) qdist::pause();
      std::function<void()> work;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [this] { return !waiting_.empty(); });
        work = std::move(waiting_.back());
        waiting_.pop_back();
        count_.fetch_sub(1, std::memory_order_release);
      }
      work();
    }
  }

  static constexpr int kSpins = 2000;  // some tens of microseconds: passes follow one another
  const pid_t process_ = getpid();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> waiting_;
  std::atomic<int> count_{0};
  int started_ = 0;
};

template <class T, class Each>
void parallel(int64_t tiles, int64_t size, int64_t room, int32_t threads, Each&& each) {
  qdist::parallel<T>(tiles, size, room, threads, each,
                     [&](std::function<void()> work) { Pool::get().schedule(std::move(work), threads - 1); });
}

template <class T>
void run(T* vector, int64_t batch, int32_t bits, const int32_t* code, const T* numbers, int32_t threads) {
  qdist::run(vector, batch, bits, code, numbers, threads, [&](int64_t tiles, int64_t size, int64_t room, auto&& each) {
    parallel<T>(tiles, size, room, threads, each);
  });
}

// Rows of a tensor product, the last one first. The compiler may know how many columns there are: those of one qubit are
// not worth a loop.
template <int Known, class T>
void outer_rows(const T* first, int64_t begin, int64_t end, const T* second, int64_t columns, T* out) {
  if (Known) columns = Known;
  for (int64_t row = end - 1; row >= begin; --row) {
    const T value = first[row];
    T* to = out + row * columns;
    for (int64_t k = 0; k < columns; ++k) to[k] = value * second[k];
  }
}

// Tensor product. `out` may begin where `first` does: rows are written from the end, those together whose results lie
// behind everything that is still to be read.
template <class T>
void outer(const T* first, int64_t rows, const T* second, int64_t columns, T* out, int32_t threads) {
  const auto write = [&](int64_t begin, int64_t end) {
    (columns == 4 ? outer_rows<4, T> : outer_rows<0, T>)(first, begin, end, second, columns, out);
  };
  const int64_t share = std::max<int64_t>(1, (1 << 13) / columns);  // small: the last rows are one thread's
  while (rows > share && columns > 1) {
    const int64_t begin = (rows + columns - 1) / columns, parts = (rows - begin + share - 1) / share;
    parallel<T>(parts, share * columns, 0, threads, [&](int64_t part, T*) {
      write(begin + part * share, std::min(rows, begin + (part + 1) * share));
    });
    rows = begin;
  }
  write(0, rows);
}

// `sizes`: shots of the result, of the first and of the second vector; entries that each has beside its contracted
// digits; rows; groups.
template <class T>
void contract(T* const* data, const int64_t* const* columns, const int64_t* const* rest, const int64_t* sizes,
              const int64_t* groups, const int64_t* entries, const T* const* values, const int8_t* same) {
  qdist::Digits<T> digits[3];
  for (int k = 0; k < 3; ++k) digits[k] = {data[k], sizes[k], columns[k], rest[k], sizes[3 + k]};
  qdist::contract<T>(digits[0], digits[1], digits[2], sizes[6], sizes[7], groups, entries, values, same);
}

}  // namespace

extern "C" {

int32_t qdist_vector_bytes() { return qdist::kVectorBytes; }

void qdist_passes_f32(float* vector, int64_t batch, int32_t bits, const int32_t* code, const float* numbers,
                      int32_t threads) {
  run(vector, batch, bits, code, numbers, threads);
}

void qdist_passes_f64(double* vector, int64_t batch, int32_t bits, const int32_t* code, const double* numbers,
                      int32_t threads) {
  run(vector, batch, bits, code, numbers, threads);
}

void qdist_contract_f32(float* const* data, const int64_t* const* columns, const int64_t* const* rest,
                        const int64_t* sizes, const int64_t* groups, const int64_t* entries,
                        const float* const* values, const int8_t* same) {
  contract(data, columns, rest, sizes, groups, entries, values, same);
}

void qdist_contract_f64(double* const* data, const int64_t* const* columns, const int64_t* const* rest,
                        const int64_t* sizes, const int64_t* groups, const int64_t* entries,
                        const double* const* values, const int8_t* same) {
  contract(data, columns, rest, sizes, groups, entries, values, same);
}

void qdist_outer_f32(const float* first, int64_t rows, const float* second, int64_t columns, float* out, int32_t threads) {
  outer(first, rows, second, columns, out, threads);
}

void qdist_outer_f64(const double* first, int64_t rows, const double* second, int64_t columns, double* out, int32_t threads) {
  outer(first, rows, second, columns, out, threads);
}

}  // extern "C"
