/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/soak/experiment.h"

#include "injector/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 4
#define COUNT(of) (unsigned)(sizeof(of) / sizeof(*(of)))

const char *const soak_kind_names[SOAK_KIND_COUNT] = {"network", "dns",	 "http",   "connect",
						      "port",	 "file", "process"};

unsigned soak_pick(unsigned below)
{
	return (unsigned)random() % below;
}

#define PICK(of) (of)[soak_pick(COUNT(of))]

void soak_experiment_prepare(const struct scene *scene)
{
	netlab_run("ip netns exec %s sysctl -qw net.ipv4.ip_local_port_range=40000\t40499",
		   scene->lab->near);
	for (unsigned slot = 0; slot < SOAK_SLOTS; slot++) {
		char path[64];
		cleanup_file FILE *file = NULL;

		snprintf(path, sizeof(path), SCENE_FOLDER "/soak-%u.conf", slot);
		file = fopen(path, "wxe");
		if (!file)
			abort();
		fputs("# of one experiment alone\nlisten 8080;\n", file);
	}
}

/* ---- Steps ---- */

/* When it lasts: at once, in pulses, or as a ramp of what has levels. */
static void write_time(FILE *out, unsigned at_ms, bool has_levels)
{
	fprintf(out, "{at: %ums, for: %ums, ", at_ms, 20 + soak_pick(200));
	switch (soak_pick(8)) {
	case 0:
		fprintf(out, "every: %ums, active: %ums, ", 40 + soak_pick(40), 5 + soak_pick(30));
		break;
	case 1:
		if (has_levels)
			fprintf(out, "ramp: %ums, ", 10 + soak_pick(10));
		break;
	}
}

static void write_network(FILE *out, unsigned at_ms)
{
	static const char *const effects[] = {
		"delay: 30ms",
		"delay: 80ms, jitter: 10ms",
		"delay: 300ms, loss: 1%",
		"delay: 20ms, loss: 50%",
		"loss: 3%",
		"rate: 64kbit, burst: 4kB",
		"rate: 64kbit, burst: 20kB, peak-rate: 1mbit",
		"loss-every: 3, loss-every-first: 1",
		"delay: 20ms, loss-every: 2, duplicate: 10%",
		"delay: 20ms, rate: 1mbit",
		"corrupt: 5%",
		"duplicate: 10%",
		"delay: 50ms, reorder: 20%",
		"delay: 30ms, corrupt: 5%, duplicate: 5%, reorder: 20%",
	};
	static const char *const cuts[] = {"loss: 100%", "partition: drop", "partition: reject",
					   "partition: reset"};
	static const char *const directions[] = {"", ", direction: both", ", direction: egress",
						 ", direction: ingress"};
	static const char *const targets[] = {"far", "net", "of-group", "self"};
	unsigned target = soak_pick(COUNT(targets));
	bool is_cut = soak_pick(3) == 0;

	write_time(out, at_ms, !is_cut);
	fprintf(out, "network: {target: %s, %s%s}}", targets[target],
		is_cut ? PICK(cuts) : PICK(effects), target > 1 ? "" : PICK(directions));
}

static void write_dns(FILE *out, unsigned at_ms)
{
	static const char *const lies[] = {
		"domain: lab, answer: nxdomain",
		"domain: lab, answer: servfail",
		"name: \"*\", answer: refused",
		"name: store.lab, answer: empty",
		"domain: lab, answer: address, address: [\"192.0.2.1\"]",
		"name: \"*\", answer: drop, probability: 30%",
		"name: \"*\", delay: 50ms",
		"pattern: \"^a\", type: [A, AAAA], answer: nxdomain, delay: 10ms",
	};

	write_time(out, at_ms, false);
	fprintf(out, "dns: {target: %s, %s}}", soak_pick(2) ? "server" : "other-server",
		PICK(lies));
}

static void write_http(FILE *out, unsigned at_ms)
{
	static const char *const effects[] = {
		"answer: 503",
		"path: /a*, answer: 404, body: gone, probability: 50%",
		"method: GET, delay: 50ms",
		"header: \"Host: *\", delay: 10ms, answer: 500",
		"abort: true",
		"path: \"*\", abort: true, delay: 20ms, probability: 30%",
	};
	static const char *const where[] = {"far", "net", "far", "net", "here"};

	write_time(out, at_ms, false);
	fprintf(out, "http: {target: %s, %s}}", PICK(where), PICK(effects));
}

static void write_connect(FILE *out, unsigned at_ms)
{
	static const char *const errors[] = {"ETIMEDOUT", "ECONNREFUSED", "EHOSTUNREACH",
					     "ENETUNREACH", "EPERM"};
	static const char *const where[] = {"", "to: \"10.88.0.2:7001\", ", "to: \"10.88.0.2\", ",
					    "except: \"10.88.0.3\", ",
					    "protocol: any, probability: 50%, "};

	write_time(out, at_ms, false);
	fprintf(out, "connect: {target: %s, %serror: %s}}", soak_pick(2) ? "all" : "one",
		PICK(where), PICK(errors));
}

static void write_port(FILE *out, unsigned at_ms)
{
	write_time(out, at_ms, false);
	if (soak_pick(6))
		fprintf(out, "port: {target: service, action: occupy%s}}",
			soak_pick(2) ? ", in-use: true" : "");
	else
		fprintf(out, "port: {target: far, action: exhaust, leave: %u}}", soak_pick(200));
}

/* A file of its own, or the one that the others of this round may want as well. */
static void write_file(FILE *out, unsigned at_ms)
{
	static const char *const edits[] = {
		"pattern: \"listen 8080\", with: \"listen eighty\"",
		"truncate: 10B",
		"truncate: 0B",
		"corrupt-bytes: 3",
		"corrupt: 20%",
		"oversize: 100kB",
		"content: [\"nothing of it\"]",
		"mode: \"0600\"",
		"owner: nobody, truncate: 5B",
	};
	static const char *const reloads[] = {
		"", "", "", ", reload-pidfile: " SCENE_FOLDER "/service.pid, reload-signal: USR1"};
	unsigned kind = soak_pick(8);
	const char *edit = PICK(edits);

	write_time(out, at_ms, false);
	if (kind == 0)
		fprintf(out, "file: {target: apart, corrupt-bytes: 3}}");
	else if (kind == 1)
		fprintf(out, "file: {target: shared, %s, reload-command: [/bin/cp, -p, %s, %s]}}",
			edit, SCENE_FOLDER "/service.conf", SCENE_FOLDER "/loaded.conf");
	else
		fprintf(out, "file: {target: %s, %s%s}}", kind == 2 ? "shared" : "own", edit,
			PICK(reloads));
}

static void write_process(FILE *out, unsigned at_ms)
{
	static const char *const pauses[] = {
		"one, action: pause",
		"one, action: pause, pause-by: sigstop",
		"all, action: pause",
		"all, action: pause, pause-by: sigstop",
		"all, action: pause, pause-by: freezer",
		"victim, action: pause",
	};
	static const char *const kills[] = {
		"signals, signal: USR1",
		"victim",
		"victim, signal: TERM",
		"victim, signal: SEGV",
	};

	if (soak_pick(2)) {
		write_time(out, at_ms, false);
		fprintf(out, "process: {target: %s}}", PICK(pauses));
	} else {
		fprintf(out, "{at: %ums, process: {target: %s}}", at_ms, PICK(kills));
	}
}

static void (*const writers[SOAK_KIND_COUNT])(FILE *out, unsigned at_ms) = {
	[SOAK_NETWORK] = write_network, [SOAK_DNS] = write_dns,	  [SOAK_HTTP] = write_http,
	[SOAK_CONNECT] = write_connect, [SOAK_PORT] = write_port, [SOAK_FILE] = write_file,
	[SOAK_PROCESS] = write_process,
};

/* ---- The file ---- */

/* Every target is used: what is not is an error. */
static void write_targets(FILE *out, const struct scene *scene, unsigned slot, pid_t victim,
			  const char *method)
{
	const struct {
		const char *name, *format;
		int number;
	} targets[] = {
		{"far", "{to: [\"10.88.0.2:7001\"]}", 0},
		{"net", "{to: [\"10.88.0.0/24\", \"fd88::/64\"]}", 0},
		{"self", "{to: [\"127.0.0.1:7001\"]}", 0},
		{"of-group", "{to: [\"10.88.0.2:7001\"], cgroup: " SCENE_GROUP "}", 0},
		{"server", "{to: [\"10.88.0.2\"]}", 0},
		{"other-server", "{to: [\"10.88.0.3\"]}", 0},
		{"here", "{local-port: 7001}", 0}, /* of one run at a time */
		{"service", "{local-port: %d}", 7009 + (int)slot},
		{"own", "{file: {path: " SCENE_FOLDER "/soak-%d.conf}}", (int)slot},
		{"shared", "{file: {path: " SCENE_FOLDER "/service.conf}}", 0},
		{"apart", "{file: {path: " SCENE_FOLDER "/service.conf, namespace: \"pid:%d\"}}",
		 scene->children[4]},
		{"one", "{process: {pid: %d}}", scene->children[0]},
		{"signals", "{process: {pid: %d}}", scene->children[1]},
		{"victim", "{process: {pid: %d}}", victim},
		{"all", "{process: {cgroup: " SCENE_GROUP "}}", 0},
	};

	for (unsigned i = 0; i < COUNT(targets); i++) {
		char use[2][32];

		snprintf(use[0], sizeof(use[0]), "target: %s,", targets[i].name);
		snprintf(use[1], sizeof(use[1]), "target: %s}", targets[i].name);
		if (!strstr(method, use[0]) && !strstr(method, use[1]))
			continue;
		fprintf(out, "  %s: ", targets[i].name);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		fprintf(out, targets[i].format, targets[i].number); /* of this table alone */
#pragma GCC diagnostic pop
		fputc('\n', out);
	}
}

void soak_experiment_write(const struct scene *scene, unsigned slot, pid_t victim,
			   unsigned counts[SOAK_KIND_COUNT])
{
	static const enum soak_kind kinds[] = {SOAK_NETWORK, SOAK_NETWORK, SOAK_NETWORK, SOAK_DNS,
					       SOAK_HTTP,    SOAK_CONNECT, SOAK_PORT,	 SOAK_FILE,
					       SOAK_FILE,    SOAK_PROCESS, SOAK_PROCESS};
	cleanup_free char *method = NULL;
	cleanup_file FILE *out = NULL;
	char path[64];
	size_t size;
	FILE *steps = open_memstream(&method, &size);
	unsigned count = 1 + soak_pick(STEPS_MAX), at_ms = 0;

	for (unsigned i = 0; i < count; i++) {
		enum soak_kind kind = PICK(kinds);

		fputs("  - ", steps);
		writers[kind](steps, at_ms);
		fputc('\n', steps);
		counts[kind]++;
		at_ms += soak_pick(80);
	}
	fclose(steps);
	snprintf(path, sizeof(path), "/run/soak-%u.yaml", slot);
	out = fopen(path, "we");
	if (!out)
		abort();
	fprintf(out, "version: 1\ntitle: soak\nallow-idle: true\n"
		     "limits: {duration: 20s, targets: 32}\ntargets:\n");
	write_targets(out, scene, slot, victim, method);
	fprintf(out, "method:\n%s", method);
}
