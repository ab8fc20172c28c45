/* SPDX-License-Identifier: BSD-2-Clause */
#include "detect/kinds.h"

#include <math.h>

#include "detect/features.h"

struct kinds kinds_of(const struct cohort_member *m)
{
	double split = (double)m->split_handshakes - m->split_waiting;

	return (struct kinds){ { m->split_waiting, fmax(0, split), m->direct_handshakes } };
}

struct kinds kinds_in(const uint16_t d1dstar[D_BINS * D_BINS])
{
	struct kinds k = {};

	for (int d1 = 0; d1 < D_BINS; d1++) {
		for (int d = 0; d < D_BINS; d++) {
			enum kind kind = delays_wait(d1, d) ? WAITS : d >= 2 ? SPLIT : DIRECT;

			k.n[kind] += d1dstar[d1 * D_BINS + d];
		}
	}
	return k;
}

double kinds_all(const struct kinds *k)
{
	return k->n[WAITS] + k->n[SPLIT] + k->n[DIRECT];
}

void kinds_add(struct kinds *sum, const struct kinds *k)
{
	double all = kinds_all(k);

	for (int i = 0; all && i < KINDS; i++)
		sum->n[i] += k->n[i] / all;
}

struct kinds kinds_shares(const struct kinds *k, const struct kinds *usual, double weight)
{
	double all = kinds_all(k) + weight;
	struct kinds p;

	for (int i = 0; i < KINDS; i++)
		p.n[i] = (k->n[i] + weight * usual->n[i]) / all;
	return p;
}

double kinds_likelihood(const struct kinds *p, const struct kinds *x)
{
	double ln = 0;

	for (int i = 0; i < KINDS; i++)
		ln += x->n[i] > 0 ? x->n[i] * log(p->n[i]) : 0;
	return exp(ln);
}

void crowd_add(struct crowd *c, const struct kinds *shares, double sources)
{
	int16_t *at = &c->at[(int)(CROWD_STEPS * shares->n[WAITS])]
			    [(int)(CROWD_STEPS * shares->n[SPLIT])];
	struct crowd_cell *cell;

	if (!*at)
		*at = ++c->n;
	cell = &c->cell[*at - 1];
	cell->sources += sources;
	for (int i = 0; i < KINDS; i++)
		cell->shares.n[i] += sources * shares->n[i];
	c->all += sources;
}

void crowd_done(struct crowd *c)
{
	for (size_t i = 0; i < c->n; i++)
		for (int k = 0; k < KINDS; k++)
			c->cell[i].shares.n[k] /= c->cell[i].sources;
}

double crowd_likelihood(const struct crowd *c, const struct kinds *x, bool waits, double far)
{
	double sum = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct crowd_cell *cell = &c->cell[i];
		double apart = cell->shares.n[WAITS] + (waits ? 0 : cell->shares.n[SPLIT]);

		sum += cell->sources * kinds_likelihood(&cell->shares, x) * (apart > 0.5 ? far : 1);
	}
	return sum / c->all;
}
