/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A process that is killed cannot put the terminal back. Echo and lines are then off: interactive
 * shells set their own mode when a job of theirs was killed, and `stty sane` does it elsewhere.
 */
#include "injector/view/keys.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

struct keys {
	struct loop *loop;
	struct keys_listener listener;
	struct termios before;
};

static bool is_foreground(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void on_input(void *context, uint32_t events)
{
	struct keys *keys = context;
	char typed[64];
	ssize_t count = -1;

	/* read() would stop us, or give us what was typed for another */
	if (!(events & (EPOLLHUP | EPOLLERR)) && is_foreground())
		count = read(STDIN_FILENO, typed, sizeof(typed) - 1);
	if (count <= 0) { /* gone; SIGHUP says what that means */
		loop_unwatch(keys->loop, STDIN_FILENO);
		return;
	}
	typed[count] = '\0';
	for (char *at = typed; *at; at++) {
		int length = 0;
		unsigned row;

		if (*at != '\033')
			keys->listener.key(keys->listener.context, *at);
		else if (sscanf(at, "\033[%5u;%*5u%n", &row, &length) == 1 && length &&
			 at[length] == 'R')
			keys->listener.place(keys->listener.context, row);
		if (*at == '\033' && (!length || at[length] != 'R'))
			return; /* a key that sends more than itself, as an arrow */
		at += length;
	}
}

struct keys *keys_open(struct loop *loop, const struct keys_listener *listener)
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
	keys->listener = *listener;
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
