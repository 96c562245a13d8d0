/* Sustained memory bandwidth, after STREAM (J. D. McCalpin, https://www.cs.virginia.edu/stream/): a loop that
 * only reads (sum) and the classic triad. Prints one line of JSON with every sample in bytes per second.
 *
 *     cc -O3 -march=native -ffast-math -fopenmp stream_read.c -o stream_read
 *     ./stream_read BYTES_PER_ARRAY SAMPLES
 *
 * -ffast-math lets the compiler split the sum over vector lanes; without it the sum is limited by the latency
 * of one addition, not by memory. Counted bytes follow STREAM: triad is two reads and one write, the read that
 * a write may cause is not counted.
 */
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static double *allocate(size_t n) {
    double *array = aligned_alloc(2 << 20, n * sizeof(double));
    if (array == NULL) {
        fprintf(stderr, "no memory for %zu bytes\n", n * sizeof(double));
        exit(1);
    }
    return array;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s BYTES_PER_ARRAY SAMPLES\n", argv[0]);
        return 2;
    }
    size_t n = strtoull(argv[1], NULL, 10) / sizeof(double);
    n -= n % (2 << 20); /* whole huge pages, as aligned_alloc asks */
    int n_samples = atoi(argv[2]);
    if (n == 0 || n_samples < 1) {
        fprintf(stderr, "need at least 16 MiB and one sample\n");
        return 2;
    }
    double *a = allocate(n), *b = allocate(n), *c = allocate(n);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++) { /* first touch by the thread that will read it */
        a[i] = 0.0;
        b[i] = 1.0;
        c[i] = 2.0;
    }
    double *read_rates = malloc(sizeof(double) * n_samples), *triad_rates = malloc(sizeof(double) * n_samples);
    double checksum = 0.0;
    for (int sample = 0; sample < n_samples; sample++) {
        double sum = 0.0, start = omp_get_wtime();
#pragma omp parallel for schedule(static) reduction(+ : sum)
        for (size_t i = 0; i < n; i++) sum += b[i];
        read_rates[sample] = n * sizeof(double) / (omp_get_wtime() - start);
        checksum += sum;
        start = omp_get_wtime();
#pragma omp parallel for schedule(static)
        for (size_t i = 0; i < n; i++) a[i] = b[i] + 3.0 * c[i];
        triad_rates[sample] = 3 * n * sizeof(double) / (omp_get_wtime() - start);
    }
    printf("{\"n_threads\": %d, \"array_bytes\": %zu, \"checksum\": %.17g, \"read\": [", omp_get_max_threads(),
           n * sizeof(double), checksum + a[n - 1]);
    for (int i = 0; i < n_samples; i++) printf("%s%.0f", i ? ", " : "", read_rates[i]);
    printf("], \"triad\": [");
    for (int i = 0; i < n_samples; i++) printf("%s%.0f", i ? ", " : "", triad_rates[i]);
    printf("]}\n");
    return 0;
}
