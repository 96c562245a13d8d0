/* Sustained memory bandwidth, after STREAM (J. D. McCalpin, https://www.cs.virginia.edu/stream/): a loop that
 * only reads (a sum) and the classic triad. Prints one line of JSON with every sample in bytes per second.
 *
 *     cc -O3 -march=native -fopenmp stream_read.c -o stream_read
 *     ./stream_read BYTES_PER_ARRAY SAMPLES
 *
 * The sum is over integers: additions of floating-point numbers may not be reordered, so a compiler would leave
 * them one after the other and the loop would be limited by the latency of an addition, not by memory.
 * Counted bytes follow STREAM: triad is two reads and one write; the read that a write may cause is not counted.
 */
#define _DEFAULT_SOURCE
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define HUGE_PAGE ((size_t)2 << 20)

static void *allocate(size_t bytes) {
    void *array = aligned_alloc(HUGE_PAGE, bytes);
    if (array == NULL) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(1);
    }
#ifdef __linux__
    madvise(array, bytes, MADV_HUGEPAGE); /* as NumPy does for its arrays */
#endif
    return array;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s BYTES_PER_ARRAY SAMPLES\n", argv[0]);
        return 2;
    }
    size_t bytes = strtoull(argv[1], NULL, 10) / HUGE_PAGE * HUGE_PAGE, n = bytes / 8;
    int n_samples = atoi(argv[2]);
    if (n == 0 || n_samples < 1) {
        fprintf(stderr, "need at least 2 MiB and one sample\n");
        return 2;
    }
    uint64_t *source = allocate(bytes);
    double *a = allocate(bytes), *b = allocate(bytes), *c = allocate(bytes);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++) { /* first touch by the thread that will read it */
        source[i] = 1;
        a[i] = 0.0;
        b[i] = 1.0;
        c[i] = 2.0;
    }
    double *read_rates = malloc(sizeof(double) * n_samples), *triad_rates = malloc(sizeof(double) * n_samples);
    if (read_rates == NULL || triad_rates == NULL) return 1;
    /* All reads before all triads: a triad leaves a cache full of changed lines, whose writing back would be
     * charged to the read that follows. The same goes for the filling above, hence one read that is not counted. */
    uint64_t checksum = 0;
    for (int sample = -1; sample < n_samples; sample++) {
        uint64_t sum = 0;
        double start = omp_get_wtime();
#pragma omp parallel for schedule(static) reduction(+ : sum)
        for (size_t i = 0; i < n; i++) sum += source[i];
        if (sample >= 0) read_rates[sample] = bytes / (omp_get_wtime() - start);
        checksum += sum;
    }
    for (int sample = -1; sample < n_samples; sample++) {
        double start = omp_get_wtime();
#pragma omp parallel for schedule(static)
        for (size_t i = 0; i < n; i++) a[i] = b[i] + 3.0 * c[i];
        if (sample >= 0) triad_rates[sample] = 3.0 * bytes / (omp_get_wtime() - start);
    }
    /* Both results are printed so that no compiler may leave the loops out. */
    printf("{\"n_threads\": %d, \"array_bytes\": %zu, \"sum\": %llu, \"triad_last\": %.1f, \"read\": [",
           omp_get_max_threads(), bytes, (unsigned long long)checksum, a[n - 1]);
    for (int i = 0; i < n_samples; i++) printf("%s%.0f", i ? ", " : "", read_rates[i]);
    printf("], \"triad\": [");
    for (int i = 0; i < n_samples; i++) printf("%s%.0f", i ? ", " : "", triad_rates[i]);
    printf("]}\n");
    return 0;
}
