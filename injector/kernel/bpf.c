/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/bpf.h"

#include "injector/base/cleanup.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define LOG_SIZE 16384

static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static void cleanup_object_at(struct bpf_object **object)
{
	bpf_object__close(*object);
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

static int set_constants(struct bpf_object *object, const struct bpf_source *source)
{
	struct bpf_map *map;
	const char *name;

	if (!source->constants)
		return 0;
	bpf_object__for_each_map(map, object)
	{
		name = bpf_map__name(map); /* cut to 15 bytes, with the object's name in front */
		if (bpf_map__is_internal(map) && name && strstr(name, ".rodata"))
			return bpf_map__set_initial_value(map, source->constants,
							  source->constants_size);
	}
	return -ENOENT;
}

/* Only the one program: the others of the object may need a newer kernel. */
static struct bpf_program *choose(struct bpf_object *object, const char *name)
{
	struct bpf_program *program, *chosen = NULL;

	bpf_object__for_each_program(program, object)
	{
		bool is_it = !strcmp(bpf_program__name(program), name);

		bpf_program__set_autoload(program, is_it);
		if (is_it)
			chosen = program;
	}
	return chosen;
}

int bpf_load(const struct bpf_source *source, int *out_program_fd, struct error *err)
{
	cleanup_free char *log = calloc(1, LOG_SIZE);
	__attribute__((cleanup(cleanup_object_at))) struct bpf_object *object = NULL;
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = source->program,
		    .kernel_log_buf = log, .kernel_log_size = log ? LOG_SIZE : 0);
	libbpf_print_fn_t old = libbpf_set_print(print_nothing);
	struct bpf_program *program = NULL;
	const char *words;
	int status = 0, fd;

	object = bpf_object__open_mem(source->object, source->object_size, &options);
	if (!object)
		status = -errno;
	if (!status)
		status = set_constants(object, source);
	if (!status) {
		program = choose(object, source->program);
		status = program ? bpf_object__load(object) : -ENOENT;
	}
	libbpf_set_print(old);
	if (status) {
		words = log ? last_words(log) : NULL;
		return error_errno(err, -status, "cannot load the BPF program %s%s%s",
				   source->program, words ? ": " : "", words ? words : "");
	}
	fd = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return error_errno(err, errno, "BPF program %s", source->program);
	*out_program_fd = fd;
	return 0;
}
