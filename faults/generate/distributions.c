/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Prints the tables of the known distributions. Made once, when squall is built: in a run they
 * would take a millisecond, and the library that computes them half of one to load.
 */
#include "faults/network_effect.h"
#include "faults/network_quantile.h"

#include <math.h>
#include <stdio.h>

#define PARETO_SHAPE 3.0

static struct netem_table tables[NETWORK_PARETONORMAL + 1];

/* The x for which the normal distribution function is u, by Newton's method from the last one: the
 * steps are small and the function is smooth. */
static double normal_quantile(double u, double start)
{
	double x = start;

	for (unsigned i = 0; i < 50; i++) {
		double density = exp(-x * x / 2) / sqrt(2 * M_PI);
		double step = (erfc(-x / M_SQRT2) / 2 - u) / density;

		x -= step;
		if (fabs(step) < 1e-9)
			break;
	}
	return x;
}

/* Of shape 3: mean 1.5; tc stretches it by 4/3. */
static double pareto_quantile(double u)
{
	return (1 / pow(1 - u, 1 / PARETO_SHAPE) - 1.5) * 4 / 3;
}

static void make_tables(void)
{
	double x = 0;

	for (unsigned i = 0; i < NETEM_TABLE_SIZE / 2; i++) {
		unsigned high = NETEM_TABLE_SIZE / 2 + i, low = NETEM_TABLE_SIZE / 2 - 1 - i;

		x = normal_quantile(netem_position(high), x);
		tables[NETWORK_NORMAL].values[high] = netem_scaled(x);
		tables[NETWORK_NORMAL].values[low] = netem_scaled(-x);
	}
	for (unsigned i = 0; i < NETEM_TABLE_SIZE; i++) {
		double pareto = netem_scaled(pareto_quantile(netem_position(i)));

		tables[NETWORK_PARETO].values[i] = (int16_t)pareto;
		tables[NETWORK_PARETONORMAL].values[i] =
			(int16_t)((tables[NETWORK_NORMAL].values[i] + 3 * pareto) / 4);
	}
}

int main(void)
{
	make_tables();
	printf("static const struct netem_table known_distributions[] = {\n");
	for (unsigned which = 0; which <= NETWORK_PARETONORMAL; which++) {
		printf("\t{{");
		for (unsigned i = 0; i < NETEM_TABLE_SIZE; i++)
			printf("%s%d,", i % 16 ? " " : "\n\t\t", tables[which].values[i]);
		printf("\n\t}},\n");
	}
	printf("};\n");
	return fflush(stdout) == 0 ? 0 : 1;
}
