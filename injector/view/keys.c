/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A process that is killed cannot put the terminal back. Echo and lines are then off: interactive
 * shells set their own mode when a job of theirs was killed, and `stty sane` does it elsewhere.
 */
#include "injector/view/keys.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

struct keys {
	struct loop *loop;
	void (*fn)(void *context, char key);
	void *context;
	struct termios before;
};

static bool is_foreground(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void on_input(void *context, uint32_t events)
{
	struct keys *keys = context;
	char typed[16];
	ssize_t count = -1;

	/* read() would stop us, or give us what was typed for another */
	if (!(events & (EPOLLHUP | EPOLLERR)) && is_foreground())
		count = read(STDIN_FILENO, typed, sizeof(typed));
	if (count <= 0) { /* gone; SIGHUP says what that means */
		loop_unwatch(keys->loop, STDIN_FILENO);
		return;
	}
	for (ssize_t i = 0; i < count; i++) {
		if (typed[i] == '\033')
			return; /* a key that sends more than itself, as an arrow */
		keys->fn(keys->context, typed[i]);
	}
}

struct keys *keys_open(struct loop *loop, void (*fn)(void *context, char key), void *context)
{
	struct keys *keys;
	struct termios now;

	if (!isatty(STDIN_FILENO) || !is_foreground())
		return NULL;
	keys = calloc(1, sizeof(*keys));
	if (!keys || tcgetattr(STDIN_FILENO, &keys->before) < 0) {
		free(keys);
		return NULL;
	}
	keys->loop = loop;
	keys->fn = fn;
	keys->context = context;
	now = keys->before;
	now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	now.c_cc[VMIN] = 0;
	now.c_cc[VTIME] = 0;
	signal(SIGTTIN, SIG_IGN);
	if (loop_watch(loop, STDIN_FILENO, EPOLLIN, on_input, keys, NULL) < 0) {
		free(keys);
		return NULL;
	}
	tcsetattr(STDIN_FILENO, TCSANOW, &now);
	return keys;
}

void keys_close(struct keys *keys)
{
	if (!keys)
		return;
	loop_unwatch(keys->loop, STDIN_FILENO);
	if (is_foreground())
		tcsetattr(STDIN_FILENO, TCSANOW, &keys->before);
	free(keys);
}
