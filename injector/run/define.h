/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tells the worker the experiment, value by value, as text. Host names are looked up here, in the
 * unprivileged process: the worker hears addresses only.
 */
#ifndef SQUALL_RUN_DEFINE_H
#define SQUALL_RUN_DEFINE_H

#include "injector/experiment/model.h"

#include <stdbool.h>

/* `until_told`: steps that would end with the method get no end of their own (run -- COMMAND). */
int define_experiment(int socket, const struct experiment *experiment, bool until_told,
		      struct error *err);

#endif
