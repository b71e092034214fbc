/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The list of mounts of a namespace whose owner may be anybody: as any bytes, and as the kernel
 * writes it, with names in it that somebody chose. These never make a shared mount look private,
 * nor another file look like a copy of ours.
 */
/* their parts are their own business */
#include "tests/fuzz/fuzz_tree.h"

#include "faults/file_mount.c" /* NOLINT(bugprone-suspicious-include) */
#include "faults/file_seat.c"  /* NOLINT(bugprone-suspicious-include) */

#define OURS 7 /* the number of the mount */

static int folder = -1;
static struct wanted wanted = {.due = "/abcdef/mount-1", .told = "/abcdef/told-1"};

int statx(int directory, const char *name, int flags, unsigned mask, struct statx *out)
{
	(void)directory, (void)name, (void)flags, (void)mask;
	*out = (struct statx){.stx_mnt_id = OURS};
	return 0;
}

static void make_tree(void)
{
	char path[128];

	make_root();
	snprintf(path, sizeof(path), "%s/thread-self", tree);
	require(mkdir(path, 0755) == 0);
	wanted.device = makedev(8, 1);
	folder = open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
	require(folder >= 0);
}

static void put(const void *bytes, size_t size)
{
	int fd = openat(folder, "thread-self/mountinfo", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			0600);

	require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	close(fd);
}

static int look_for_ours(void)
{
	int found = is_listed(&wanted, folder, "thread-self/mountinfo");

	require(found == 0 || found == 1);
	return found;
}

static int check(void)
{
	struct check check = {.path = "/etc/file", .file = -1, .proc = folder};
	struct error err = ERROR_INIT;
	int result = check_propagation(&check, &err);

	require(result == 0 || (result == -err.code && strlen(err.text) < sizeof(err.text)));
	return result;
}

static void any_bytes(const uint8_t *data, size_t size)
{
	put(data, size);
	if (look_for_ours())
		require(memmem(data, size, wanted.due, strlen(wanted.due)) ||
			memmem(data, size, wanted.told, strlen(wanted.told)));
	check();
}

/* As mangle_path() in fs/seq_file.c with the bytes of show_mountinfo() in fs/proc_namespace.c. */
static void add_name(const uint8_t *name, size_t size, char *out, size_t *used)
{
	out[(*used)++] = '/';
	for (size_t i = 0; i < size && name[i]; i++)
		if (strchr(" \t\n\\", name[i]))
			*used += (size_t)sprintf(out + *used, "\\%03o", name[i]);
		else
			out[(*used)++] = (char)name[i];
}

/* Names of up to 200 bytes, of a root, a mount point and a source. */
static void add_line(const uint8_t **data, size_t *size, unsigned number, bool is_shared,
		     const char *at_the_root, char *out, size_t *used)
{
	for (unsigned name = 0; name < 3; name++) {
		size_t length = 0;

		if (name == 0)
			*used += (size_t)sprintf(out + *used, "%u 1 8:1 ", number);
		if (*size > 0) {
			length = (*data)[0] % 200;
			*data += 1;
			*size -= 1;
		}
		length = length < *size ? length : *size;
		add_name(*data, length, out, used);
		*data += length;
		*size -= length;
		if (name == 0)
			*used += (size_t)sprintf(out + *used, "%s ", at_the_root);
		if (name == 1)
			*used += (size_t)sprintf(out + *used, " rw,noatime%s master:3 - ext4 ",
						 is_shared ? " shared:12" : "");
		if (name == 2)
			*used += (size_t)sprintf(out + *used, " rw\n");
	}
}

static void chosen_names(const uint8_t *data, size_t size)
{
	static char text[4 * 3 * 1024];
	bool is_shared = data[0] & 1, has_ours = data[0] & 2;
	size_t used = 0;
	int result;

	data++;
	size--;
	/* what else is mounted has no name here that ends as our copy's */
	add_line(&data, &size, OURS + 1, !is_shared, "/x", text, &used);
	add_line(&data, &size, OURS, is_shared, has_ours ? "/abcdef/mount-1" : "/abcdef/mount-12",
		 text, &used);
	add_line(&data, &size, OURS * 10, !is_shared, "//deleted", text, &used);
	require(used < sizeof(text));
	put(text, used);
	result = check();
	require(result == (is_shared ? -EPERM : 0));
	result = look_for_ours();
	require(result == has_ours || memmem(text, used, "/abcdef/mount-1//deleted", 24) ||
		memmem(text, used, "/abcdef/told-1//deleted", 23));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (folder < 0)
		make_tree();
	if (size < 2)
		return 0;
	if (data[0] & 1)
		chosen_names(data + 1, size - 1);
	else
		any_bytes(data + 1, size - 1);
	return 0;
}
