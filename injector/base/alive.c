/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/alive.h"

#include "injector/base/clock.h"

static void (*told)(void *context);
static void *told_context;
static int64_t last_ns;

void alive_tell(void (*tell)(void *context), void *context)
{
	told = tell;
	told_context = context;
}

void alive(void)
{
	int64_t now_ns = told ? clock_now_ns() : 0;

	if (!told || now_ns - last_ns < ALIVE_MS * NSEC_PER_MSEC)
		return;
	last_ns = now_ns;
	told(told_context);
}
