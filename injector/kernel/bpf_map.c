/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/bpf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int bpf_map_new(const struct bpf_map *map, int *out_fd, struct error *err)
{
	union bpf_attr attributes;
	int fd;

	memset(&attributes, 0, sizeof(attributes));
	attributes.map_type = map->type;
	attributes.key_size = map->key_size;
	attributes.value_size = map->value_size;
	attributes.max_entries = map->entries;
	snprintf(attributes.map_name, sizeof(attributes.map_name), "%s", map->name);
	fd = bpf_call(BPF_MAP_CREATE, &attributes);
	if (fd < 0)
		return error_errno(err, -fd, "cannot make the BPF map %s", map->name);
	*out_fd = fd;
	return 0;
}

int bpf_map_put(int map_fd, const void *key, const void *value)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.map_fd = (uint32_t)map_fd;
	attributes.key = (uintptr_t)key;
	attributes.value = (uintptr_t)value;
	return bpf_call(BPF_MAP_UPDATE_ELEM, &attributes);
}

int bpf_map_get(int map_fd, const void *key, void *out_value)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.map_fd = (uint32_t)map_fd;
	attributes.key = (uintptr_t)key;
	attributes.value = (uintptr_t)out_value;
	return bpf_call(BPF_MAP_LOOKUP_ELEM, &attributes);
}
