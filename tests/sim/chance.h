/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chance.h - draws from streams that each source owns, so that blocking one source
 * does not change what the others do.
 *
 * Every draw is a function of the stream's 64-bit state; `hash_*` are draws without a
 * stream, of a number that names them (a day, a stack, a prefix).
 *
 * Source: splitmix64 (Steele, Lea, Flood 2014); normals by a table of 4,096 quantiles,
 *         beyond 1/1,024 by Marsaglia's tail; call chance_open() first.
 */
#ifndef WINNOW_SIM_CHANCE_H
#define WINNOW_SIM_CHANCE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define NORMAL_CELLS 4096

extern float chance_normal[NORMAL_CELLS + 1];
extern float chance_gamma[1025]; /* quantiles of Gamma(1.5) / 1.5: mean 1 */

void chance_open(void);
double chance_tail(uint64_t *s);

static inline uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline uint64_t bits(uint64_t *s)
{
	return mix(*s += 0x9e3779b97f4a7c15ULL);
}

static inline double unit_of(uint64_t b)
{
	return ((b >> 11) + .5) / 9007199254740992.0;
}

static inline double uniform(uint64_t *s)
{
	return unit_of(bits(s));
}

static inline bool chance(uint64_t *s, double p)
{
	return uniform(s) < p;
}

static inline double range(uint64_t *s, double lo, double hi)
{
	return lo + (hi - lo) * uniform(s);
}

static inline uint32_t below(uint64_t *s, uint32_t n)
{
	return (bits(s) >> 32) * n >> 32;
}

static inline double normal_at(double u)
{
	double x = u * NORMAL_CELLS;
	uint32_t i = x;

	return chance_normal[i] + (x - i) * (chance_normal[i + 1] - chance_normal[i]);
}

static inline double normal(uint64_t *s)
{
	double u = uniform(s);

	if (u < 1. / 1024)
		return -chance_tail(s);
	if (u > 1 - 1. / 1024)
		return chance_tail(s);
	return normal_at(u);
}

static inline double lognormal(uint64_t *s, double median, double sigma)
{
	return median * exp(sigma * normal(s));
}

static inline double exponential(uint64_t *s, double mean)
{
	return -mean * log(uniform(s));
}

/* Geometric, at least 1, of that mean. */
static inline uint32_t geometric(uint64_t *s, double mean)
{
	return mean <= 1 ? 1 : 1 + (uint32_t)(log(uniform(s)) / log(1 - 1 / mean));
}

/* Draws that a name alone decides. */
static inline uint64_t hash2(uint64_t a, uint64_t b)
{
	return mix(mix(a + 0x9e3779b97f4a7c15ULL) ^
		   (b * 0xd1342543de82ef95ULL + 0x632be59bd9b4e019ULL));
}

static inline double hash_unit(uint64_t a, uint64_t b)
{
	return unit_of(hash2(a, b));
}

static inline double hash_normal(uint64_t a, uint64_t b)
{
	double u = hash_unit(a, b);

	return normal_at(u < 1. / 1024 ? 1. / 1024 : u > 1 - 1. / 1024 ? 1 - 1. / 1024 : u);
}

static inline double hash_gamma(uint64_t a, uint64_t b)
{
	return chance_gamma[hash2(a, b) >> 54];
}

#endif
