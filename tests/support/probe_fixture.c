/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/probe_fixture.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture *fixture_new(void)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error err = ERROR_INIT;

	assert_non_null(fixture);
	assert_int_equal(loop_new(&fixture->loop, &err), 0);
	return fixture;
}

static void free_spec(struct probe_spec *spec)
{
	free(spec->name);
	for (unsigned i = 0; i < spec->subject_count; i++)
		free(spec->subject[i]);
	free(spec->subject);
	params_free(&spec->params);
	params_free(&spec->expect);
}

void fixture_free(struct fixture *fixture)
{
	probe_scheduler_free(fixture->scheduler);
	launcher_free(fixture->launcher);
	for (unsigned i = 0; i < fixture->spec_count; i++)
		free_spec(&fixture->specs[i]);
	loop_free(fixture->loop);
	free(fixture);
}

static void split_subject(struct probe_spec *spec, const char *subject)
{
	char *copy = strdup(subject), *rest = copy, *part;

	spec->subject = calloc(strlen(subject) + 2, sizeof(char *));
	assert_non_null(spec->subject);
	if (!spec->ops->subject_is_list)
		spec->subject[spec->subject_count++] = strdup(subject);
	while (spec->ops->subject_is_list && (part = strsep(&rest, "|")))
		spec->subject[spec->subject_count++] = strdup(part);
	free(copy);
}

static void add_key(struct probe_spec *spec, const char *text)
{
	struct params *params = &spec->params;
	struct error err = ERROR_INIT;
	char key[64];
	const char *value = strchr(text, '='), *name = text;
	int index;

	assert_non_null(value);
	snprintf(key, sizeof(key), "%.*s", (int)(value - text), text);
	value++;
	if (strcmp(key, "every") == 0 || strcmp(key, "timeout") == 0) {
		assert_int_equal(
			quantity_parse_duration(
				value, *key == 'e' ? &spec->every_ns : &spec->timeout_ns, &err),
			0);
		return;
	}
	name = key;
	if (strncmp(key, "expect.", 7) == 0) {
		params = &spec->expect;
		name = key + 7;
	}
	index = params_find(params->table, name);
	if (index < 0)
		fail_msg("no key '%s'", key);
	if (params_add(params, (unsigned)index, value, 1, 1, &err) < 0)
		fail_msg("%s: %s", key, err.text);
}

int fixture_add(struct fixture *fixture, const char *kind, const char *subject, struct error *err,
		...)
{
	struct probe_spec *spec = &fixture->specs[fixture->spec_count++];
	struct error cause = ERROR_INIT;
	const char *key;
	va_list keys;

	assert_true(fixture->spec_count <= sizeof(fixture->specs) / sizeof(*fixture->specs));
	spec->ops = probe_find(kind);
	assert_non_null(spec->ops);
	spec->name = strdup(kind);
	spec->every_ns = NSEC_PER_SEC;
	spec->timeout_ns = 5 * NSEC_PER_SEC;
	split_subject(spec, subject);
	assert_int_equal(params_init(&spec->params, spec->ops->params, &cause), 0);
	assert_int_equal(params_init(&spec->expect, spec->ops->expect, &cause), 0);
	va_start(keys, err);
	while ((key = va_arg(keys, const char *)))
		add_key(spec, key);
	va_end(keys);
	return spec->ops->check(spec, err);
}

static void on_sample(void *context, unsigned probe, const struct probe_sample *sample)
{
	struct fixture *fixture = context;

	assert_true(fixture->sample_count < FIXTURE_SAMPLES);
	fixture->samples[fixture->sample_count].probe = probe;
	fixture->samples[fixture->sample_count].at_ns = clock_now_ns();
	fixture->samples[fixture->sample_count++].sample = *sample;
}

void fixture_open(struct fixture *fixture)
{
	struct error err = ERROR_INIT;
	bool has_command = false;

	for (unsigned i = 0; i < fixture->spec_count; i++)
		has_command |= fixture->specs[i].ops->subject_is_list ||
			       strcmp(fixture->specs[i].ops->name, "unit") == 0 ||
			       strcmp(fixture->specs[i].ops->name, "journal") == 0;
	if (has_command && !fixture->launcher &&
	    launcher_new(getuid(), getgid(), &fixture->launcher, &err) < 0)
		fail_msg("%s", err.text);
	if (probe_scheduler_new(fixture->specs, fixture->spec_count, fixture->loop,
				fixture->launcher, on_sample, fixture, &fixture->scheduler,
				&err) < 0)
		fail_msg("%s", err.text);
	if (fixture->launcher && launcher_seal(fixture->launcher, fixture->loop, &err) < 0)
		fail_msg("%s", err.text);
}

void fixture_run(struct fixture *fixture, unsigned wanted, int64_t max_ns)
{
	struct error err = ERROR_INIT;
	int64_t end = clock_now_ns() + max_ns;

	if (!fixture->scheduler)
		fixture_open(fixture);
	wanted += fixture->sample_count;
	assert_int_equal(probe_scheduler_start(fixture->scheduler, &err), 0);
	while (fixture->sample_count < wanted && clock_now_ns() < end)
		assert_int_equal(loop_turn(fixture->loop, end - clock_now_ns(), &err), 0);
	probe_scheduler_stop(fixture->scheduler);
}

const struct probe_sample *fixture_once(struct fixture *fixture)
{
	unsigned before = fixture->sample_count;

	fixture_run(fixture, 1, 20 * NSEC_PER_SEC);
	assert_int_equal(fixture->sample_count, before + 1);
	return &fixture->samples[before].sample;
}

double expect_sample(const char *kind, const char *subject, const char *keys[4],
		     enum probe_result result, const char *reason)
{
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;
	const struct probe_sample *sample;
	double value;

	if (fixture_add(fixture, kind, subject, &err, keys[0], keys[1], keys[2], keys[3], NULL) < 0)
		fail_msg("%s", err.text);
	sample = fixture_once(fixture);
	if (sample->result != result || !strstr(sample->reason, reason))
		fail_msg("%s %s: %s (%s), expected %s (%s)", kind, subject,
			 probe_result_names[sample->result], sample->reason,
			 probe_result_names[result], reason);
	if (result == PROBE_UNKNOWN)
		assert_int_equal(sample->latency_ns, -1);
	value = sample->value;
	fixture_free(fixture);
	return value;
}

void expect_checked(const char *kind, const char *subject, const char *keys[4], const char *reason)
{
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;
	int result =
		fixture_add(fixture, kind, subject, &err, keys[0], keys[1], keys[2], keys[3], NULL);

	if (!reason && result < 0)
		fail_msg("%s %s: %s", kind, subject, err.text);
	if (reason && (result == 0 || !strstr(err.text, reason)))
		fail_msg("%s %s: '%s', expected '%s'", kind, subject, result ? err.text : "ok",
			 reason);
	fixture_free(fixture);
}

int listen_silently(int backlog, uint16_t *out_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	*out_port = ntohs(address.sin_port);
	return fd;
}

uint16_t free_port(void)
{
	uint16_t port;

	close(listen_silently(-1, &port));
	return port;
}

void fixture_skip(const char *reason)
{
	if (getenv("SQUALL_MUST_RUN"))
		fail_msg("must run, but: %s", reason);
	print_message("skipped: %s\n", reason);
	skip();
	abort();
}

void end_process(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
