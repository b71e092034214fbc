/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The requests to the service manager, against one that is played by a thread: what it is asked,
 * byte for byte, and what is made of its answers.
 */
#include "injector/kernel/systemd.h"

#include "injector/base/alive.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[80];
static int listener;
static uint8_t asked[512];
static ssize_t asked_size;
static const void *answer;
static size_t answer_size;
static const char *greeting;
static bool is_silent, asked_early;

/* an error with the text "no such unit", behind a signal that nobody asked for */
static const uint8_t refusal[] = "l\4\0\1\0\0\0\0\1\0\0\0\0\0\0\0"
				 "l\3\0\1\21\0\0\0\2\0\0\0\10\0\0\0"
				 "\5\1u\0\1\0\0\0"
				 "\14\0\0\0no such unit";
static const uint8_t acceptance[] = "l\2\0\1\0\0\0\0\2\0\0\0\10\0\0\0"
				    "\5\1u\0\1\0\0\0";
static const uint8_t endless[] = "l\2\0\1\377\377\377\177\2\0\0\0\10\0\0\0";

/* systemd is not asked before it has said OK. */
static void *play(void *context)
{
	static const char begin[] = "\0AUTH EXTERNAL ", end[] = "\r\nBEGIN\r\n";
	char line[64];
	int fd = accept(listener, NULL, NULL);
	ssize_t got = read(fd, line, sizeof(line));
	size_t size = got > 0 ? (size_t)got : 0;

	(void)context;
	asked_early = size < sizeof(begin) + sizeof(end) ||
		      memcmp(line, begin, sizeof(begin) - 1) != 0 ||
		      memcmp(line + size - sizeof(end) + 1, end, sizeof(end) - 1) != 0 ||
		      poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 50) != 0;
	if (got > 0 && write(fd, greeting, strlen(greeting)) > 0) {
		if ((asked_size = read(fd, asked, sizeof(asked))) > 0)
			(void)!write(fd, answer, answer_size);
		if (is_silent)
			(void)!read(fd, line, 1); /* until the other one gives up */
	}
	close(fd);
	return NULL;
}

static int ask_for(char *out_name, const char *hello, const void *bytes, size_t size,
		   struct error *err)
{
	pthread_t thread;
	int result;

	greeting = hello;
	answer = bytes;
	answer_size = size;
	assert_int_equal(pthread_create(&thread, NULL, play, NULL), 0);
	result = out_name ? systemd_find("nginx", out_name, err) : systemd_reload("nginx", err);
	pthread_join(thread, NULL);
	assert_false(asked_early);
	return result;
}

static int ask(const char *hello, const void *bytes, size_t size, struct error *err)
{
	return ask_for(NULL, hello, bytes, size, err);
}

/* An answer whose first value is `path`. */
static int find(const char *path_answered, char *out_name, struct error *err)
{
	uint8_t bytes[200] = "l\2\0\1\0\0\0\0\2\0\0\0\10\0\0\0"
			     "\10\1g\0\1o\0\0";
	uint32_t length = (uint32_t)strlen(path_answered), body = length + 5;

	memcpy(bytes + 4, &body, 4);
	memcpy(bytes + 24, &length, 4);
	memcpy(bytes + 28, path_answered, length + 1);
	return ask_for(out_name, "OK 1234\r\n", bytes, 24 + body, err);
}

/* An alias is known by another name. */
static void test_the_name_of_a_unit_is_found(void **state)
{
	char name[SYSTEMD_NAME_SIZE] = "as before";
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(
		find("/org/freedesktop/systemd1/unit/web_2dserver_40a_2eservice", name, &err), 0);
	assert_string_equal(name, "web-server@a.service");
	assert_non_null(memmem(asked, (size_t)asked_size, "LoadUnit", 9));
	assert_memory_equal(asked + asked_size - 18, "\15\0\0\0nginx.service", 18);
	strcpy(name, "as before");
	assert_int_equal(find("/org/freedesktop/systemd1/unit/web_2", name, &err), -EPROTO);
	assert_int_equal(find("/org/freedesktop/systemd1/unit/", name, &err), -EPROTO);
	assert_int_equal(find("/somewhere/else", name, &err), -EPROTO);
	assert_int_equal(ask_for(name, "OK 1234\r\n", refusal, sizeof(refusal) - 1 + 1, &err),
			 -EREMOTEIO);
	assert_string_equal(name, "as before");
}

static void test_a_unit_is_reloaded(void **state)
{
	struct error err = ERROR_INIT;
	uint32_t fields, body;

	(void)state;
	assert_int_equal(ask("OK 1234\r\n", acceptance, sizeof(acceptance) - 1, &err), 0);
	/* a method call, version 1, whose parts fill it exactly */
	assert_memory_equal(asked, "l\1\0\1", 4);
	memcpy(&body, asked + 4, 4);
	memcpy(&fields, asked + 12, 4);
	assert_int_equal(asked_size, 16 + ((fields + 7) & ~7U) + body);
	assert_memory_equal(asked + asked_size - body,
			    "\15\0\0\0nginx.service\0\0\0\7\0\0\0replace", 4 + 14 + 2 + 4 + 8);
	assert_non_null(memmem(asked, (size_t)asked_size, "ReloadUnit", 11));
}

static void test_a_refusal_is_told_in_its_words(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(ask("OK 1234\r\n", refusal, sizeof(refusal) - 1 + 1, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "nginx.service: no such unit"));
}

static void test_nonsense_is_an_error(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(ask("OK 1234\r\n", endless, sizeof(endless) - 1, &err), -EMSGSIZE);
	assert_int_equal(ask("OK 1234\r\n", "l\2", 2, &err), -EPIPE);
	assert_int_equal(ask("REJECTED EXTERNAL\r\n", "", 0, &err), -EACCES);
}

/* systemd tells everybody at its private socket what happens to its units, which may be much. */
static void test_signals_before_the_answer_are_passed_over(void **state)
{
	static uint8_t bytes[120 * 1024];
	static const uint32_t sizes[] = {0, 7, 3000, 4096, 9001};
	struct error err = ERROR_INIT;
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		uint32_t body = sizes[i % (sizeof(sizes) / sizeof(*sizes))], fields = 8;

		if (i % 3 == 0)
			fields += 5000 * (i % 2);
		memcpy(bytes + used, "l\4\1\1\0\0\0\0\1\0\0\0", 12);
		memcpy(bytes + used + 4, &body, sizeof(body));
		memcpy(bytes + used + 12, &fields, sizeof(fields));
		/* whatever it holds, nothing of it is an answer */
		memset(bytes + used + 16, 2, fields + body);
		used += 16 + fields + body;
		if (used > sizeof(bytes) - 20000)
			break;
	}
	memcpy(bytes + used, acceptance, sizeof(acceptance) - 1);
	used += sizeof(acceptance) - 1;
	assert_int_equal(ask("OK 1234\r\n", bytes, used, &err), 0);
	memcpy(bytes + used - sizeof(acceptance) + 1, refusal, sizeof(refusal));
	assert_int_equal(
		ask("OK 1234\r\n", bytes, used - sizeof(acceptance) + 1 + sizeof(refusal), &err),
		-EREMOTEIO);
	assert_non_null(strstr(err.text, "no such unit"));
}

static unsigned ticks;

static void count_ticks(void *context)
{
	(void)context;
	ticks++;
}

/* Who restores undoes, looks, and does both again: silence is waited for once. */
static void test_silence_has_an_end(void **state)
{
	struct error err = ERROR_INIT;
	char name[SYSTEMD_NAME_SIZE];
	int64_t start_ns;

	(void)state;
	is_silent = true;
	alive_tell(count_ticks, NULL);
	start_ns = clock_now_ns();
	assert_int_equal(ask("OK 1234\r\n", "", 0, &err), -ETIMEDOUT);
	assert_string_equal(err.text, "no answer of systemd about nginx.service within 3 s");
	assert_true(clock_now_ns() - start_ns >= 3 * NSEC_PER_SEC - NSEC_PER_MSEC);
	assert_in_range(ticks, 2, 12);
	start_ns = clock_now_ns();
	assert_int_equal(systemd_reload("nginx", &err), -ETIMEDOUT);
	assert_int_equal(systemd_find("nginx", name, &err), -ETIMEDOUT);
	assert_string_equal(err.text, "no answer of systemd about nginx.service within 3 s");
	assert_true(clock_now_ns() - start_ns < NSEC_PER_SEC);
	is_silent = false;
	alive_tell(NULL, NULL);
	systemd_set_socket(path);
	assert_int_equal(ask("OK 1234\r\n", acceptance, sizeof(acceptance) - 1, &err), 0);
}

static void test_without_a_manager_it_says_so(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	systemd_set_socket("/nonexistent/socket");
	assert_int_equal(systemd_reload("nginx", &err), -ENOENT);
	assert_non_null(strstr(err.remedy, "reload-pidfile"));
	systemd_set_socket(path);
}

static int set_up(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)state;
	strcpy(folder, "/tmp/sqsystemd-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/private", folder);
	strcpy(address.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (const void *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 4), 0);
	systemd_set_socket(path);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(listener);
	return unlink(path) || rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_unit_is_reloaded),
		cmocka_unit_test(test_the_name_of_a_unit_is_found),
		cmocka_unit_test(test_a_refusal_is_told_in_its_words),
		cmocka_unit_test(test_nonsense_is_an_error),
		cmocka_unit_test(test_signals_before_the_answer_are_passed_over),
		cmocka_unit_test(test_silence_has_an_end),
		cmocka_unit_test(test_without_a_manager_it_says_so),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
