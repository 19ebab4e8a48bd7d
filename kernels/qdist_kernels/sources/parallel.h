// Tiles over threads: whoever is free takes the next ones, the caller included, so it never waits for a thread that has
// not begun.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <thread>

namespace qdist {

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// A scratch buffer that a thread keeps.
template <class T>
T* scratch_of(int64_t size) {
  struct Buffer {
    T* data = nullptr;
    int64_t size = 0;
    ~Buffer() { operator delete(data, std::align_val_t(64)); }
  };
  static thread_local Buffer buffer;
  if (buffer.size < size) {
    operator delete(buffer.data, std::align_val_t(64));
    buffer.data = static_cast<T*>(operator new(size * sizeof(T), std::align_val_t(64)));
    buffer.size = size;
  }
  return buffer.data;
}

constexpr int64_t kEntriesEach = 1 << 12;  // fewer are not worth handing to another thread

// Calls each(number, scratch) for all tiles of `size` entries; `schedule` starts a function on another thread.
template <class T, class Each, class Schedule>
void parallel(int64_t tiles, int64_t size, int64_t room, int threads, Each&& each, Schedule&& schedule) {
  const int64_t together = std::max<int64_t>(1, kEntriesEach / size);
  const int64_t shares = (tiles + together - 1) / together;
  const int helpers = static_cast<int>(std::min<int64_t>(threads, shares)) - 1;
  if (helpers <= 0) {
    T* scratch = scratch_of<T>(room);
    for (int64_t tile = 0; tile < tiles; ++tile) each(tile, scratch);
    return;
  }
  struct State {
    std::atomic<int64_t> next{0}, done{0};
  };
  auto state = std::make_shared<State>();
  auto work = [state, tiles, room, together, shares, &each] {
    for (;;) {
      const int64_t share = state->next.fetch_add(1);
      if (share >= shares) return;  // `each` may be gone by now
      T* scratch = scratch_of<T>(room);
      for (int64_t tile = share * together; tile < std::min(tiles, (share + 1) * together); ++tile) each(tile, scratch);
      state->done.fetch_add(1, std::memory_order_release);
    }
  };
  for (int k = 0; k < helpers; ++k) schedule(work);
  work();
  for (int spin = 0; state->done.load(std::memory_order_acquire) < shares; ++spin) {
    if (spin < 10000)
      pause();
    else
      std::this_thread::yield();
  }
}

}  // namespace qdist
