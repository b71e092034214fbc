/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/bpf.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_SIZE 16384

int bpf_system_call(enum bpf_cmd command, union bpf_attr *attributes)
{
	long result = syscall(SYS_bpf, command, attributes, sizeof(*attributes));

	return result < 0 ? -errno : (int)result;
}

/* The reason is in the last lines; the very last one only counts instructions. */
static const char *last_words(char *log)
{
	char *line = NULL, *save = NULL;

	for (char *at = strtok_r(log, "\n", &save); at; at = strtok_r(NULL, "\n", &save)) {
		if (strncmp(at, "processed ", 10) != 0)
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

void bpf_unlimit_memory(void)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit limit;

	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max; /* a container without CAP_SYS_RESOURCE */
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

int bpf_map_new(const struct bpf_map_shape *shape, int *out_map_fd, struct error *err)
{
	union bpf_attr attributes;
	long result;

	memset(&attributes, 0, sizeof(attributes));
	attributes.map_type = shape->type;
	attributes.key_size = shape->key_size;
	attributes.value_size = shape->value_size;
	attributes.max_entries = shape->entries;
	attributes.map_flags = shape->type == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC : 0;
	snprintf(attributes.map_name, sizeof(attributes.map_name), "%s", shape->name);
	result = syscall(SYS_bpf, BPF_MAP_CREATE, &attributes,
			 offsetof(union bpf_attr, map_name) + sizeof(attributes.map_name));
	if (result < 0)
		return error_errno(err, errno, "cannot make the BPF map %s", shape->name);
	*out_map_fd = (int)result;
	return 0;
}

static int map_call(int command, int map_fd, const void *key, uint64_t value)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.map_fd = (uint32_t)map_fd;
	attributes.key = (uintptr_t)key;
	attributes.value = value;
	return syscall(SYS_bpf, command, &attributes,
		       offsetof(union bpf_attr, flags) + sizeof(attributes.flags)) < 0
		       ? -errno
		       : 0;
}

int bpf_map_set(int map_fd, const void *key, const void *value, struct error *err)
{
	int result = map_call(BPF_MAP_UPDATE_ELEM, map_fd, key, (uintptr_t)value);

	return result < 0 ? error_errno(err, -result, "cannot change a BPF map") : 0;
}

int bpf_map_get(int map_fd, const void *key, void *out_value, struct error *err)
{
	int result = map_call(BPF_MAP_LOOKUP_ELEM, map_fd, key, (uintptr_t)out_value);

	return result < 0 ? error_errno(err, -result, "cannot read a BPF map") : 0;
}

int bpf_map_remove(int map_fd, const void *key, struct error *err)
{
	int result = map_call(BPF_MAP_DELETE_ELEM, map_fd, key, 0);

	return result < 0 ? error_errno(err, -result, "cannot change a BPF map") : 0;
}
