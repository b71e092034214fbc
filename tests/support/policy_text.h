/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Site policies from texts in a test, and what they refuse.
 */
#ifndef SQUALL_TESTS_POLICY_TEXT_H
#define SQUALL_TESTS_POLICY_TEXT_H

#include "injector/policy/policy.h"

/* Fails the test if it is none. The caller frees. */
struct policy *policy_of(const char *text);
/* It failed, with these words. */
void policy_refused(int result, const struct error *err, const char *expected);

#endif
