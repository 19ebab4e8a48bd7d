// The kernel of GPUs on a CPU, thread after thread, for tests.

#include <vector>

#include "shots.h"
#include "tiles.h"

namespace {

// A block's threads, in either order: where they do not get in each other's way, it does not matter.
struct Team {
  bool backwards;
  std::vector<qdist::Spot> own = std::vector<qdist::Spot>(qdist::kThreads);

  template <class Each>
  void each(Each&& work) {
    for (int k = 0; k < qdist::kThreads; ++k) {
      const int thread = backwards ? qdist::kThreads - 1 - k : k;
      work(thread, own[thread]);
    }
  }
};

template <class T>
void run(const qdist::Pass<T>& pass, bool backwards) {
  constexpr int64_t kGrid = 3;
  for (int64_t block = 0; block < kGrid; ++block) {
    std::vector<qdist::Chunk<unsigned char>> memory(pass.shared_bytes() / 16 + 1);
    Team team{backwards};
    qdist::run_block(team, pass, memory.data()->entry, block, kGrid);
  }
}

// Lanes one after another, in either order, each with its own shots.
template <class T>
void run_shots(const qdist::shots::Batch<T>& batch, bool backwards) {
  for (int64_t k = 0; k < batch.lanes; ++k) {
    const int64_t lane = backwards ? batch.lanes - 1 - k : k;
    for (int64_t shot = lane; shot < batch.shots; shot += batch.lanes) qdist::shots::run(batch, shot, lane);
  }
}

}  // namespace

extern "C" {

double qdist_uniform(uint64_t seed, uint64_t purpose, int64_t shot) { return qdist::shots::uniform(seed, purpose, shot); }

void qdist_shots_f32(const int32_t* code, const float* numbers, const float* values, const int32_t* where,
                     float* results, float* work, int64_t shots, int64_t lanes, int32_t backwards) {
  run_shots<float>({code, numbers, values, where, results, work, shots, lanes}, backwards);
}

void qdist_shots_f64(const int32_t* code, const double* numbers, const double* values, const int32_t* where,
                     double* results, double* work, int64_t shots, int64_t lanes, int32_t backwards) {
  run_shots<double>({code, numbers, values, where, results, work, shots, lanes}, backwards);
}

void qdist_tiles_f32(float* vector, int64_t tiles, const int32_t* code, const float* numbers, int32_t tile_bits,
                     int32_t codes, int32_t count, int32_t backwards) {
  run<float>({vector, tiles, code, numbers, tile_bits, codes, count}, backwards);
}

void qdist_tiles_f64(double* vector, int64_t tiles, const int32_t* code, const double* numbers, int32_t tile_bits,
                     int32_t codes, int32_t count, int32_t backwards) {
  run<double>({vector, tiles, code, numbers, tile_bits, codes, count}, backwards);
}

}  // extern "C"
