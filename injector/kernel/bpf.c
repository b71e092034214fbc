/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/bpf.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_SIZE 16384

int bpf_call(enum bpf_cmd command, union bpf_attr *attributes)
{
	long result = syscall(SYS_bpf, command, attributes, sizeof(*attributes));

	return result < 0 ? -errno : (int)result;
}

/* The reason is in the last lines; the very last one only counts instructions. */
static const char *last_words(char *log)
{
	char *line = NULL, *save = NULL;

	for (char *at = strtok_r(log, "\n", &save); at; at = strtok_r(NULL, "\n", &save)) {
		if (strncmp(at, "processed ", 10))
			line = at;
	}
	return line;
}

/* A descriptor (close-on-exec, as the kernel makes all of its kind) or -errno. */
static int load(const struct bpf_code *code, char *log)
{
	union bpf_attr attributes;
	long result;

	memset(&attributes, 0, sizeof(attributes)); /* the kernel refuses what it does not know */
	attributes.prog_type = code->type;
	attributes.insns = (uintptr_t)code->instructions;
	attributes.insn_cnt = code->count;
	attributes.license = (uintptr_t) "GPL";
	snprintf(attributes.prog_name, sizeof(attributes.prog_name), "%s", code->name);
	attributes.expected_attach_type = code->attach;
	if (log) {
		attributes.log_buf = (uintptr_t)log;
		attributes.log_size = LOG_SIZE;
		attributes.log_level = 1;
	}
	/* EAGAIN: a signal came while the verifier was at it (bpf_prog_load in libbpf) */
	do
		result = syscall(SYS_bpf, BPF_PROG_LOAD, &attributes,
				 offsetof(union bpf_attr, prog_btf_fd));
	while (result < 0 && errno == EAGAIN);
	return result < 0 ? -errno : (int)result;
}

int bpf_load(const struct bpf_code *code, int *out_program_fd, struct error *err)
{
	cleanup_free char *log = NULL;
	const char *words = NULL;
	int fd = load(code, NULL);

	if (fd < 0) { /* again, for the reason */
		log = calloc(1, LOG_SIZE);
		fd = load(code, log);
	}
	if (fd < 0) {
		words = log ? last_words(log) : NULL;
		return error_errno(err, -fd, "cannot load the BPF program %s%s%s", code->name,
				   words ? ": " : "", words ? words : "");
	}
	*out_program_fd = fd;
	return 0;
}
