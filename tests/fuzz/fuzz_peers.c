/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What other programs say or have written: Prometheus' answers, the kernel's pressure figures,
 * state files of container runtimes, notes about metrics files, what a terminal sends, the owner's
 * site file, the halt lever, the answer of a child that tried something. The first byte chooses the
 * reader.
 */
/* their parts are their own business */
#include "tests/fuzz/fuzz_tree.h"

#include "injector/kernel/file_writer.c"    /* NOLINT(bugprone-suspicious-include) */
#include "injector/kernel/trial.c"	    /* NOLINT(bugprone-suspicious-include) */
#include "injector/probes/prometheus.c"	    /* NOLINT(bugprone-suspicious-include) */
#include "injector/restore/stale_metrics.c" /* NOLINT(bugprone-suspicious-include) */
#include "injector/view/keys.c"		    /* NOLINT(bugprone-suspicious-include) */

#include "faults/target_group.h"
#include "injector/journal/runs.h"
#include "injector/policy/site.h"
#include "injector/probes/pressure.h"
#include "injector/restore/halt.h"

#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- Prometheus ---- */

static unsigned finished;

static void on_finish(struct probe *probe, const struct probe_sample *sample)
{
	(void)probe;
	finished++;
	require(strnlen(sample->reason, sizeof(sample->reason)) < sizeof(sample->reason));
}

static CURLcode no_info(CURL *easy, CURLINFO info, ...)
{
	(void)easy, (void)info;
	return CURLE_OK;
}

static void answer_of_prometheus(const uint8_t *data, size_t size)
{
	static const struct web web = {.easy_getinfo = no_info};
	struct probe_spec spec = {.ops = &prometheus_probe};
	struct probe probe = {.spec = &spec, .finish = on_finish};
	struct prometheus prometheus = {.request = {.probe = &probe,
						    .web = &web,
						    .body = make_text(data, size),
						    .body_length = size,
						    .is_body_full = size > 1000}};

	finished = 0;
	require(params_init(&spec.expect, prometheus_expect, NULL) == 0);
	require(params_add(&spec.expect, EXPECT_VALUE, "< 5", 0, 0, NULL) == 0);
	probe_compare(&spec.expect, EXPECT_VALUE, &prometheus.value);
	judge_answer(&prometheus.request);
	require(finished == 1);
	params_free(&spec.expect);
	free(prometheus.request.body);
}

/* ---- Pressure ---- */

static void pressure(const uint8_t *data, size_t size)
{
	cleanup_free char *text = make_text(data, size);
	double figures[PRESSURE_FIGURES];
	struct error err = ERROR_INIT;

	if (pressure_parse(text, figures, &err) == 0)
		require(!isnan(figures[SOME_AVG10]));
	else
		require(err.code && strlen(err.text) < sizeof(err.text));
}

/* ---- Files ---- */

static void put(const char *path, const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}

#define ID "0123456789abcdef"
static const char *const states[] = {
	"var/lib/docker/containers/" ID "/config.v2.json",
	"var/lib/containers/storage/overlay-containers/containers.json",
	"run/containers/storage/overlay-containers/" ID "/userdata/pidfile",
	"run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID "/config.json",
	"run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID "/init.pid",
};

static void make_tree(void)
{
	char path[300];

	make_root();
	for (unsigned i = 0; i < sizeof(states) / sizeof(*states); i++) {
		snprintf(path, sizeof(path), "%s/%s", tree, states[i]);
		for (char *at = path + strlen(tree) + 1; (at = strchr(at, '/')); at++) {
			*at = '\0';
			require(mkdir(path, 0755) == 0 || errno == EEXIST);
			*at = '/';
		}
	}
	target_container_set_root(tree);
}

static const uint8_t *state_bytes; /* of the file that the input is about */
static size_t state_size;
static unsigned state_number;

/* Whose the folders are is not asked here. */
int directory_open(const char *path, mode_t make, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)make;
	return fd < 0 ? error_errno(err, errno, "%s", path) : fd;
}

/* One of the files is what the input says, the others are as in life. */
int directory_read_file(const char *path, size_t max, char **out, size_t *out_length,
			struct error *err)
{
	static const char *const sane[] = {
		"{\"ID\":\"" ID "\",\"Name\":\"/web\",\"State\":{\"Running\":true,\"Pid\":1}}",
		"[{\"id\":\"" ID "\",\"names\":[\"web\"]}]",
		"1",
		"{\"annotations\":{\"io.kubernetes.cri.container-name\":\"web\","
		"\"io.kubernetes.cri.sandbox-name\":\"pod\"}}",
		"1",
	};
	const char *name = path + strlen(tree) + 1;

	for (unsigned i = 0; i < sizeof(states) / sizeof(*states); i++) {
		bool is_it = i == state_number;

		if (strcmp(name, states[i]) != 0)
			continue;
		*out_length = is_it ? state_size : strlen(sane[i]);
		require(*out_length < max);
		*out = make_text(is_it ? state_bytes : (const uint8_t *)sane[i], *out_length);
		return 0;
	}
	return error_set(err, ENOENT, "%s", path);
}

static void container(const uint8_t *data, size_t size)
{
	struct target_container found;
	struct error err = ERROR_INIT;

	if (!size)
		return;
	if (!tree[0])
		make_tree();
	state_number = data[0] & 7;
	state_bytes = data + 1;
	state_size = size - 1;
	if (target_container_find(data[0] & 8 ? "pod/web" : "web", &found, &err) < 0)
		require(err.code && strlen(err.text) < sizeof(err.text));
	else
		require(found.pid > 0);
}

/* Every run is over; nothing of the machine is looked at. */
bool journal_exists(const char *run_id)
{
	require(runs_is_id(run_id) || strlen(run_id) < RUN_ID_SIZE);
	return false;
}

static void metrics_note(const uint8_t *data, size_t size)
{
	static struct note note;
	static int folder = -1;
	char path[100];

	if (!tree[0])
		make_tree();
	snprintf(path, sizeof(path), "%s/note", tree);
	put(path, data, size);
	if (folder < 0)
		folder = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (read_note(folder, "note", &note))
		require(note.path[0] == '/' && memchr(note.path, '\0', sizeof(note.path)) &&
			memchr(note.boot_id, '\0', sizeof(note.boot_id)));
}

/* What a dead run has written, or somebody in its place. */
static void metrics_text(const uint8_t *data, size_t size)
{
	cleanup_free char *text = make_text(data, size), *out = NULL;
	size_t length = 0;

	if (stale_metrics_over(text, size, &out, &length) == 0 && out)
		require(length > 0);
}

static int no_change(const char *text, size_t length, char **out, size_t *out_length)
{
	(void)text, (void)length, (void)out, (void)out_length;
	return 0;
}

/* Messages of any length: the last one that is not empty is in the file, as a whole, beside nothing
 * else. */
static void metrics_messages(const uint8_t *data, size_t size)
{
	static struct place place = {.folder = -1, .name = "metrics", .next = ".metrics.squall"};
	char path[sizeof(tree) + sizeof(place.name)], seen[300];
	const uint8_t *last = NULL;
	size_t last_size = 0;
	int pair[2], fd;

	if (!tree[0])
		make_tree();
	if (place.folder < 0)
		place.folder = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	for (unsigned sent = 0; size && sent < 20; sent++) {
		size_t length = data[0] < size - 1 ? data[0] : size - 1;

		require(send(pair[0], data + 1, length, MSG_DONTWAIT) == (ssize_t)length);
		if (!length)
			break; /* which ends it */
		last = data + 1;
		last_size = length;
		data += 1 + length;
		size -= 1 + length;
	}
	shutdown(pair[0], SHUT_WR);
	serve(pair[1], &place, no_change);
	close(pair[0]);
	close(pair[1]);
	if (!last)
		return;
	snprintf(path, sizeof(path), "%s/%s", tree, place.name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	require(fd >= 0 && read(fd, seen, sizeof(seen)) == (ssize_t)last_size);
	require(memcmp(seen, last, last_size) == 0);
	close(fd);
	require(faccessat(place.folder, place.next, F_OK, 0) < 0);
}

/* ---- The terminal ---- */

static unsigned keys_heard;

pid_t tcgetpgrp(int fd)
{
	(void)fd;
	return getpgrp();
}

static void on_key(void *context, char key)
{
	(void)context;
	require(key != '\033' && key != '\0');
	keys_heard++;
}

static void on_place(void *context, unsigned row)
{
	(void)context;
	require(row <= 99999);
}

static void terminal(const uint8_t *data, size_t size)
{
	struct keys keys = {.listener = {.key = on_key, .place = on_place}};
	int ends[2], saved = dup(STDIN_FILENO);

	require(pipe2(ends, O_CLOEXEC) == 0);
	require(write(ends[1], data, size < 4096 ? size : 4096) >= 0);
	close(ends[1]);
	dup2(ends[0], STDIN_FILENO);
	for (size_t taken = 0; taken + 63 <= size; taken += 63)
		on_input(&keys, EPOLLIN);
	if (size % 63)
		on_input(&keys, EPOLLIN);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(ends[0]);
}

/* ---- The site ---- */

static void site(const uint8_t *data, size_t size)
{
	cleanup_free char *text = make_text(data, size);
	struct error err = ERROR_INIT;
	struct site out = {0};

	if (site_parse(text, size, "fuzz", &out, &err) == 0)
		site_free(&out);
	else
		require(err.code > 0 && !out.notifications && !out.metrics);
}

/* ---- The halt lever ---- */

static void halt_lever(const uint8_t *data, size_t size)
{
	struct halt halt;
	struct error err = ERROR_INIT;
	char path[100];

	if (!tree[0])
		make_tree();
	snprintf(path, sizeof(path), "%s/halt", tree);
	put(path, data, size);
	journal_set_root("/nonexistent");
	halt_set_state_directory(tree);
	halt_look(&halt);
	require(halt.is_pulled && strcmp(halt.path, path) == 0);
	require(memchr(halt.by, '\0', sizeof(halt.by)) && memchr(halt.at, '\0', sizeof(halt.at)));
	require(memchr(halt.reason, '\0', sizeof(halt.reason)) != NULL);
	require(!strpbrk(halt.by, "\n") && !strpbrk(halt.at, "\n") && !strpbrk(halt.reason, "\n"));
	require(halt_check(&err) == -EPERM);
	unlink(path);
}

/* ---- A trial ---- */

static int trial_ends[2];
static const uint8_t *trial_bytes; /* what the child writes; NULL: there is none */
static size_t trial_size;

int pipe2(int ends[2], int flags)
{
	int result = (int)syscall(SYS_pipe2, ends, flags);

	memcpy(trial_ends, ends, sizeof(trial_ends));
	return result;
}

pid_t fork(void)
{
	require(trial_bytes != NULL);
	require(write(trial_ends[1], trial_bytes, trial_size) == (ssize_t)trial_size);
	return 4711;
}

pid_t waitpid(pid_t child, int *status, int flags)
{
	require(child == 4711 && flags == 0);
	*status = 0;
	return child;
}

static void trial(const uint8_t *data, size_t size)
{
	static uint8_t bytes[PIPE_BUF];
	uint8_t answer[100];
	struct error err = ERROR_INIT;
	bool is_whole = size && data[0] & 1;
	int result;

	memset(bytes, size ? data[0] : 0, sizeof(bytes));
	if (size > 1)
		memcpy(bytes, data + 1, size - 1 < sizeof(bytes) ? size - 1 : sizeof(bytes));
	trial_bytes = bytes;
	trial_size = is_whole ? sizeof(struct message) : size % sizeof(bytes);
	result = trial_run(NULL, answer, sizeof(answer), &err);
	trial_bytes = NULL;
	require(result == 0 || trial_size == sizeof(struct message) || result == -EIO);
	require(memchr(err.text, '\0', sizeof(err.text)) &&
		memchr(err.remedy, '\0', sizeof(err.remedy)));
	require(result <= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(const uint8_t *data, size_t size) = {
		answer_of_prometheus, pressure, container, metrics_note,
		metrics_text,	      terminal, site,	   metrics_messages,
		halt_lever,	      trial};

	if (size)
		readers[data[0] % (sizeof(readers) / sizeof(*readers))](data + 1, size - 1);
	return 0;
}
