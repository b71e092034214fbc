/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An experiment in plain English: what is done to whom and when, what that feels like, what tells
 * whether it is well, and how it ends.
 */
#ifndef SQUALL_REPORT_EXPLAIN_H
#define SQUALL_REPORT_EXPLAIN_H

#include "injector/base/page.h"
#include "injector/experiment/model.h"

void explain_experiment(const struct experiment *experiment, struct page *page);

#endif
