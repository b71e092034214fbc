/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault inside TLS, started here or in a process that is to be killed. To be included by
 * one test program each, behind BENCH_RUNS: programs are found by their names in the whole machine.
 */
#ifndef SQUALL_TESTS_HTTP_TLS_FAULT_H
#define SQUALL_TESTS_HTTP_TLS_FAULT_H

#include "tests/netns/http_tls_bench.h"

#include "faults/http.h"

#include <poll.h>

#define SETTINGS_MAX 800
#define CODE	     "-o /dev/null -w %{http_code} "

/* What load() makes of files, and what else is given. */
struct settings {
	const char *words[SETTINGS_MAX];
	unsigned count;
	struct params files; /* that words point into */
};

static inline void add(struct settings *settings, const char *key, const char *value)
{
	assert_true(settings->count + 3 < SETTINGS_MAX);
	settings->words[settings->count++] = key;
	settings->words[settings->count++] = value;
	settings->words[settings->count] = NULL;
}

static inline int read_file(void *context, const char *name, size_t max, char **out_text,
			    size_t *out_length, struct error *err)
{
	(void)context, (void)max, (void)err;
	*out_text = netlab_output("cat %s", name);
	*out_length = strlen(*out_text);
	return 0;
}

static inline void add_files(struct settings *settings, const char *name, const char *authority)
{
	const struct fault_files files = {.read = read_file};
	struct params *params = &settings->files;
	struct error err = ERROR_INIT;
	char path[80];

	assert_int_equal(params_init(params, http_params, &err), 0);
	snprintf(path, sizeof(path), "%s/%s.pem", tls_home, name);
	params_add(params, HTTP_PARAM_TLS_CERTIFICATE, path, 0, 0, &err);
	snprintf(path, sizeof(path), "%s/%s.key", tls_home, name);
	params_add(params, HTTP_PARAM_TLS_KEY, path, 0, 0, &err);
	if (authority)
		params_add(params, HTTP_PARAM_TLS_CA, tls_path(authority), 0, 0, &err);
	if (http_tls_load(params, &files, &err) < 0)
		fail_msg("%s", err.text);
	for (unsigned key = HTTP_PARAM_TLS_CERTIFICATE; key <= HTTP_PARAM_TLS_CA; key++)
		for (unsigned i = 0; i < params_count(params, key); i++)
			add(settings, http_params[key].name, params_value(params, key, i)->text);
}

static inline const char *const *settings_with(const char *authority, const char *const *more)
{
	static struct settings settings;

	params_free(&settings.files);
	settings.count = 0;
	add(&settings, "fault", "http");
	add_files(&settings, "fault", authority);
	for (; more[0]; more += 2)
		add(&settings, more[0], more[1]);
	return settings.words;
}

#define TLS_SETTINGS(...)	   settings_with(NULL, (const char *[]){__VA_ARGS__, NULL})
#define TLS_START(lab, fault, ...) start(lab, fault, TLS_SETTINGS(__VA_ARGS__))

static inline int set_up(void **state)
{
	netlab_setup(state);
	netlab_run("ip -n %s link set lo up", ((struct netlab *)*state)->far);
	tls_make_certificates();
	tls_start_nginx(*state);
	return 0;
}

static inline int tear_down(void **state)
{
	tls_stop_nginx();
	return netlab_teardown(state);
}

static inline void assert_tls_is_gone(void)
{
	for (unsigned i = 0; i < 100 && tls_process(); i++)
		poll(NULL, 0, 20);
	assert_int_equal(tls_process(), 0);
}

/* The exit code. */
static inline int call(const struct netlab *lab, const char *words)
{
	int code;

	free(tls_shell(&code, "ip netns exec %s %s", lab->near, words));
	return code;
}

static inline void finish(struct netlab_fault *fault)
{
	netlab_fault_finish(fault, FAULT_END_SOFT);
	http_fault.release(&fault->fault);
	assert_tls_is_gone();
}

/* A client that reads for ever; its exit code. */
static inline pid_t start_download(const struct netlab *lab)
{
	pid_t curl = fork();

	if (curl == 0)
		_exit(call(lab, "curl -s -o /dev/null --max-time 30 --cacert ca.pem "
				"https://10.88.0.2/slow/big"));
	return curl;
}

#endif
