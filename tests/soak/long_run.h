/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One run that lasts as long as the soak, in a world of its own beside the others: a ramp, pulses
 * of five kinds of fault, an interface that comes and goes and is followed, probes that pass and
 * fail. Its processes work all the time, and must not grow.
 */
#ifndef SQUALL_TESTS_SOAK_LONG_RUN_H
#define SQUALL_TESTS_SOAK_LONG_RUN_H

/* Starts it in a process of the caller's; its pid. It exits with 0 when nothing has grown. */
int long_run_start(double minutes);

#endif
