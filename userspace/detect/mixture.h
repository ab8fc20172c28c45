/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mixture.h - is there one more kind of source than there used to be?
 *
 * A source is a row of small features, 0 where not known. Known kinds (classes)
 * and the new one (component) are products of one table a feature; a missing
 * feature is left out of the product, so a source that was seen for seconds
 * and one that was seen for a day stand in one model.
 *
 *   lambda(x) = (1 - s) sum_k pi_k prod_f theta_kf[x_f] + s prod_f q_f[x_f]
 *
 * theta is what clean traffic taught. pi may drift, up to a cap a class (shares
 * of benign kinds change from day to day; doubling is no news, appearing is).
 * q and s are fitted by EM; gain = log-likelihood with component, minus without
 * it at its own best pi, minus half a ln n a free parameter (BIC).
 *
 * Units:  gain in nats; s a share of sources.
 * Bound:  every theta is mixed with 2% of the flat table, so that one impossible
 *         value of one sensor says at most about 4 nats.
 * Source: latent class analysis by EM (Dempster, Laird, Rubin 1977).
 */
#ifndef WINNOW_DETECT_MIXTURE_H
#define WINNOW_DETECT_MIXTURE_H

#include <stddef.h>
#include <stdint.h>

#define FEATURES        6
#define FEATURE_LEVELS  7 /* 0: not known */
#define MIXTURE_CLASSES 6
#define MIXTURE_FLAT    0.02

struct mixture_row {
	uint8_t x[FEATURES];
	uint8_t pad[2];
};

struct mixture_class {
	double weight;                          /* pi */
	double cap;                             /* of weight, when it may drift */
	double theta[FEATURES][FEATURE_LEVELS]; /* [f][0] unused */
};

struct mixture {
	size_t n;
	struct mixture_class class[MIXTURE_CLASSES];
};

struct mixture_component {
	double share, lo, hi; /* 95%, from the curvature */
	double gain;          /* nats, penalty taken off */
	double llr;           /* the same with the penalty still on; product.h only */
	double q[FEATURES][FEATURE_LEVELS];
};

/* How many levels feature f has, 1..levels. */
extern const uint8_t feature_levels[FEATURES];

/* One table a feature, counted with weights `w` (NULL: all 1), on top of `kappa`
 * sources of `prior` (NULL: flat). */
void mixture_count(const struct mixture_row *rows, const float *w, size_t n, double kappa,
		   const double prior[FEATURES][FEATURE_LEVELS],
		   double out[FEATURES][FEATURE_LEVELS]);

/* Refines classes whose theta and weight are set: `rounds` of EM, each theta
 * held by `kappa` sources of `prior`. */
void mixture_refine(struct mixture *m, const struct mixture_row *rows, size_t n,
		    unsigned int rounds, double kappa,
		    const double prior[FEATURES][FEATURE_LEVELS]);

/* The product for one row, missing features left out; ln of it. */
double mixture_product(const double theta[FEATURES][FEATURE_LEVELS], const struct mixture_row *row);
double mixture_ln(const double theta[FEATURES][FEATURE_LEVELS], const struct mixture_row *row);

/* Fits the component from a start `q`. posterior[n] is each row's share of it.
 * A row with `held[i]` set (may be NULL) cannot belong to it. count: sources a row
 * stands for; NULL: one each. */
void mixture_fit(const struct mixture *base, const struct mixture_row *rows, const uint8_t *held,
		 const float *count, size_t n, const double start[FEATURES][FEATURE_LEVELS],
		 struct mixture_component *out, float *posterior);

#endif
