/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Links to control groups. A link is an object of its own, held by its descriptor; the name of its
 * program is what finds it again from another process.
 */
#include "injector/kernel/bpf.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <string.h>

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

static bool is_named(int link_fd, const char *program_name)
{
	struct bpf_link_info link;
	struct bpf_prog_info program;
	cleanup_fd int program_fd = -1;

	if (describe(link_fd, &link, sizeof(link)) < 0 || link.type != BPF_LINK_TYPE_CGROUP ||
	    link.cgroup.cgroup_id == 0)
		return false;
	program_fd = open_by_id(BPF_PROG_GET_FD_BY_ID, link.prog_id);
	return program_fd >= 0 && describe(program_fd, &program, sizeof(program)) == 0 &&
	       strncmp(program.name, program_name, sizeof(program.name)) == 0;
}

static int detach(int link_fd)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.link_detach.link_fd = (uint32_t)link_fd;
	return bpf_system_call(BPF_LINK_DETACH, &attributes);
}

int bpf_links_end(const char *program_name, bool count_only, struct error *err)
{
	union bpf_attr attributes;
	int found = 0, result;

	memset(&attributes, 0, sizeof(attributes));
	while ((result = bpf_system_call(BPF_LINK_GET_NEXT_ID, &attributes)) == 0) {
		uint32_t id = attributes.next_id;
		cleanup_fd int fd = open_by_id(BPF_LINK_GET_FD_BY_ID, id);

		if (fd >= 0 && is_named(fd, program_name)) {
			found++;
			result = count_only ? 0 : detach(fd);
			if (result < 0)
				return error_errno(err, -result, "cannot detach BPF link %u", id);
		}
		memset(&attributes, 0, sizeof(attributes));
		attributes.start_id = id;
	}
	/* ENOENT: that was the last one */
	return result == -ENOENT ? found : error_errno(err, -result, "cannot list the BPF links");
}
