/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/netlab.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS_MAX 64

static char **split(char *line)
{
	static char *words[WORDS_MAX];
	unsigned count = 0;
	char *rest;

	for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		assert_in_range(count, 0, WORDS_MAX - 2);
		words[count++] = word;
	}
	words[count] = NULL;
	return words;
}

static int spawn(const char *format, va_list args, char **out_text)
{
	char line[1024];
	int ends[2], status;
	posix_spawn_file_actions_t actions;
	char **words;
	pid_t pid;

	assert_in_range(vsnprintf(line, sizeof(line), format, args), 1, sizeof(line) - 1);
	words = split(line);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	if (!out_text)
		posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
	assert_int_equal(posix_spawnp(&pid, words[0], &actions, NULL, words, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	{
		char *text = NULL, chunk[4096];
		size_t used = 0;
		ssize_t size;

		while ((size = read(ends[0], chunk, sizeof(chunk))) > 0) {
			text = realloc(text, used + (size_t)size + 1);
			assert_non_null(text);
			memcpy(text + used, chunk, (size_t)size);
			used += (size_t)size;
			text[used] = '\0';
		}
		if (out_text)
			*out_text = text ? text : strdup("");
		else
			free(text);
	}
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int netlab_try(const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	status = spawn(format, args, NULL);
	va_end(args);
	return status;
}

void netlab_run(const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	status = spawn(format, args, NULL);
	va_end(args);
	if (status != 0)
		fail_msg("'%s' ended with %d", format, status);
}

char *netlab_output(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	spawn(format, args, &text);
	va_end(args);
	return text;
}

char *netlab_outputs(const char *name, const char *const *commands, size_t count)
{
	char *all = NULL;
	size_t size;
	FILE *out = open_memstream(&all, &size);

	assert_non_null(out);
	for (size_t i = 0; i < count; i++) {
		const char *hole = strstr(commands[i], "%s");
		cleanup_free char *text = netlab_output("%.*s%s%s", (int)(hole - commands[i]),
							commands[i], name, hole + 2);

		fputs(text, out);
	}
	fclose(out);
	return all;
}

unsigned netlab_counter(const char *namespace_name, const char *counter)
{
	char *text = netlab_output("ip netns exec %s nstat -asz %s", namespace_name, counter);
	const char *at = strstr(text, counter);
	unsigned count;

	assert_non_null(at);
	count = (unsigned)strtoul(at + strlen(counter), NULL, 10);
	free(text);
	return count;
}

void netlab_kill(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}
