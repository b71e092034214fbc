/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Links to control groups, interfaces and network namespaces. A link is an object of its own, held
 * by its descriptor; the name of its program is what finds it again from another process.
 */
#include "injector/kernel/bpf.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define OWNER_NS      (500 * NSEC_PER_MSEC) /* a dead holder has let go by then */
#define OWNER_POLL_MS 2

int bpf_link_cgroup(int program_fd, int cgroup_fd, enum bpf_attach_type attach, int *out_link_fd,
		    struct error *err)
{
	union bpf_attr attributes;
	int fd;

	memset(&attributes, 0, sizeof(attributes));
	attributes.link_create.prog_fd = (uint32_t)program_fd;
	attributes.link_create.target_fd = (uint32_t)cgroup_fd;
	attributes.link_create.attach_type = attach;
	fd = bpf_system_call(BPF_LINK_CREATE, &attributes);
	if (fd < 0)
		return error_errno(err, -fd, "cannot attach a BPF program to a control group");
	*out_link_fd = fd;
	return 0;
}

int bpf_link_lookup(int program_fd, int namespace_fd, int *out_link_fd, struct error *err)
{
	cleanup_fd int own = -1;
	union bpf_attr attributes;
	int fd = namespace_fd < 0 ? namespace_open_self(&own, err) : 0;

	if (fd < 0)
		return fd;
	memset(&attributes, 0, sizeof(attributes));
	attributes.link_create.prog_fd = (uint32_t)program_fd;
	attributes.link_create.target_fd = (uint32_t)(namespace_fd < 0 ? own : namespace_fd);
	attributes.link_create.attach_type = BPF_SK_LOOKUP;
	fd = bpf_system_call(BPF_LINK_CREATE, &attributes);
	if (fd < 0)
		return error_errno(err, -fd, "cannot attach a BPF program to a network namespace");
	*out_link_fd = fd;
	return 0;
}

int bpf_try(int program_fd, const void *frame, size_t size, uint32_t *out_answer, struct error *err)
{
	union bpf_attr attributes;
	int result;

	memset(&attributes, 0, sizeof(attributes));
	attributes.test.prog_fd = (uint32_t)program_fd;
	attributes.test.data_in = (uintptr_t)frame;
	attributes.test.data_size_in = (uint32_t)size;
	result = bpf_system_call(BPF_PROG_TEST_RUN, &attributes);
	if (result < 0)
		return error_errno(err, -result, "cannot try a BPF program");
	*out_answer = attributes.test.retval;
	return 0;
}

static int describe(int fd, void *info, size_t size)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	memset(info, 0, size);
	attributes.info.bpf_fd = (uint32_t)fd;
	attributes.info.info = (uintptr_t)info;
	attributes.info.info_len = (uint32_t)size;
	return bpf_system_call(BPF_OBJ_GET_INFO_BY_FD, &attributes);
}

bool bpf_link_describe_lookup(int link_fd, struct bpf_lookup_link *out)
{
	struct bpf_link_info info;

	if (describe(link_fd, &info, sizeof(info)) < 0 || info.type != BPF_LINK_TYPE_NETNS ||
	    info.netns.attach_type != BPF_SK_LOOKUP || info.netns.netns_ino == 0)
		return false;
	*out = (struct bpf_lookup_link){info.id, info.netns.netns_ino};
	return true;
}

bool bpf_link_is_attached(int link_fd)
{
	struct bpf_link_info info;

	/* 0 once the group is gone (bpf_cgroup_link_auto_detach()) */
	return describe(link_fd, &info, sizeof(info)) == 0 && info.cgroup.cgroup_id != 0;
}

static int open_by_id(enum bpf_cmd command, uint32_t id)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.link_id = id; /* prog_id is at the same place */
	return bpf_system_call(command, &attributes);
}

/* What it is attached to, of the kinds that are found again by name, is still there. */
static bool is_attached(const struct bpf_link_info *link)
{
	return (link->type == BPF_LINK_TYPE_CGROUP && link->cgroup.cgroup_id != 0) ||
	       (link->type == BPF_LINK_TYPE_NETNS && link->netns.netns_ino != 0);
}

/* The name of the program of such a link. */
static bool read_name(int link_fd, char out[BPF_OBJ_NAME_LEN])
{
	struct bpf_link_info link;
	struct bpf_prog_info program;
	cleanup_fd int program_fd = -1;

	if (describe(link_fd, &link, sizeof(link)) < 0 || !is_attached(&link))
		return false;
	program_fd = open_by_id(BPF_PROG_GET_FD_BY_ID, link.prog_id);
	if (program_fd < 0 || describe(program_fd, &program, sizeof(program)) < 0)
		return false;
	snprintf(out, BPF_OBJ_NAME_LEN, "%.15s", program.name);
	return true;
}

static int detach(int link_fd)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.link_detach.link_fd = (uint32_t)link_fd;
	return bpf_system_call(BPF_LINK_DETACH, &attributes);
}

int bpf_links_each(int (*fn)(void *context, int link_fd, const char *program_name), void *context,
		   struct error *err)
{
	union bpf_attr attributes;
	int result;

	memset(&attributes, 0, sizeof(attributes));
	while ((result = bpf_system_call(BPF_LINK_GET_NEXT_ID, &attributes)) == 0) {
		uint32_t id = attributes.next_id;
		cleanup_fd int fd = open_by_id(BPF_LINK_GET_FD_BY_ID, id);
		char name[BPF_OBJ_NAME_LEN];

		if (fd >= 0 && read_name(fd, name))
			result = fn(context, fd, name);
		if (result < 0)
			return error_errno(err, -result, "BPF link %u", id);
		memset(&attributes, 0, sizeof(attributes));
		attributes.start_id = id;
	}
	/* ENOENT: that was the last one */
	return result == -ENOENT ? 0 : error_errno(err, -result, "cannot list the BPF links");
}

struct ending {
	const char *name;
	bool count_only;
	int found;
};

static int end_one(void *context, int link_fd, const char *program_name)
{
	struct ending *ending = context;

	if (strcmp(program_name, ending->name) != 0)
		return 0;
	ending->found++;
	return ending->count_only ? 0 : detach(link_fd);
}

int bpf_links_end(const char *program_name, bool count_only, struct error *err)
{
	struct ending ending = {.name = program_name, .count_only = count_only};
	int result = bpf_links_each(end_one, &ending, err);

	return result < 0 ? result : ending.found;
}

struct saying {
	const char *name;
	char *out;
	size_t size;
	int found;
};

static int say_one(void *context, int link_fd, const char *program_name)
{
	struct saying *saying = context;
	struct bpf_link_info info;
	char command[48];
	size_t used = strlen(saying->out);

	if (strcmp(program_name, saying->name) != 0 || describe(link_fd, &info, sizeof(info)) < 0)
		return 0;
	snprintf(command, sizeof(command), "%sbpftool link detach id %u", used ? "; " : "",
		 info.id);
	if (used + strlen(command) < saying->size)
		memcpy(saying->out + used, command, strlen(command) + 1);
	saying->found++;
	return 0;
}

int bpf_links_say(const char *program_name, char *out, size_t size, struct error *err)
{
	struct saying saying = {.name = program_name, .out = out, .size = size};
	int result;

	out[0] = '\0';
	result = bpf_links_each(say_one, &saying, err);
	return result < 0 ? result : saying.found;
}

int bpf_links_undo(const char *program_name, struct error *err)
{
	int64_t deadline_ns = clock_now_ns() + OWNER_NS;
	int result;

	while ((result = bpf_links_end(program_name, true, err)) > 0 &&
	       clock_now_ns() < deadline_ns)
		poll(NULL, 0, OWNER_POLL_MS);
	if (result > 0)
		result = bpf_links_end(program_name, false, err);
	return result < 0 ? result : 0;
}
