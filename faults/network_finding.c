/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/network_finding.h"

#include "injector/base/cleanup.h"
#include "injector/journal/crc32.h"
#include "injector/journal/directory.h"
#include "injector/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MAGIC	0x4e465153 /* "SQFN" */
#define VERSION 2

/* The file: this and nothing else. */
struct finding {
	uint32_t magic, version;
	char boot_id[40], release[65];
	/* of modules.dep, when there is no netem: a package with it may come any time */
	int64_t modules_ns, modules_size;
	bool has_ifb, has_netem, has_netem_seed;
	char netem_reason[200];
	uint32_t crc; /* of what is in front of it */
};

static const char *state_directory = JOURNAL_STATE;
static const char *modules_root = "";

void network_finding_set_paths(const char *state, const char *modules)
{
	state_directory = state;
	modules_root = modules;
}

static int identify_kernel(struct finding *out)
{
	cleanup_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, out->boot_id, sizeof(out->boot_id) - 1);
	struct utsname kernel;

	if (got <= 0 || uname(&kernel) < 0)
		return -errno;
	snprintf(out->release, sizeof(out->release), "%s", kernel.release);
	return 0;
}

static void look_at_modules(struct finding *out)
{
	struct stat status;
	char path[512];

	snprintf(path, sizeof(path), "%s/lib/modules/%s/modules.dep", modules_root, out->release);
	if (stat(path, &status) < 0)
		return;
	out->modules_ns = status.st_mtim.tv_sec * 1000000000LL + status.st_mtim.tv_nsec;
	out->modules_size = status.st_size;
}

static bool has_module(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/sys/module/%s", modules_root, name);
	return access(path, F_OK) == 0;
}

static bool is_current(const struct finding *finding)
{
	struct finding now = {.magic = MAGIC};

	if (identify_kernel(&now) < 0 || strcmp(finding->boot_id, now.boot_id) != 0 ||
	    strcmp(finding->release, now.release) != 0)
		return false;
	if (finding->has_netem)
		return true;
	look_at_modules(&now);
	return now.modules_ns == finding->modules_ns && now.modules_size == finding->modules_size &&
	       !has_module("sch_netem") && (finding->has_ifb || !has_module("ifb"));
}

static bool is_whole(const struct finding *finding)
{
	return finding->magic == MAGIC && finding->version == VERSION &&
	       finding->crc == crc32_of(finding, offsetof(struct finding, crc)) &&
	       memchr(finding->boot_id, '\0', sizeof(finding->boot_id)) &&
	       memchr(finding->release, '\0', sizeof(finding->release)) &&
	       memchr(finding->netem_reason, '\0', sizeof(finding->netem_reason));
}

static bool is_trusted(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
	       status.st_nlink == 1 && !(status.st_mode & 077) &&
	       status.st_size == sizeof(struct finding);
}

bool network_finding_recall(struct network_support *out)
{
	cleanup_fd int directory = directory_open(state_directory, 0, NULL);
	cleanup_fd int fd = -1;
	struct finding finding;

	if (directory < 0)
		return false;
	fd = openat(directory, NETWORK_FINDING_FILE,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || !is_trusted(fd) ||
	    read(fd, &finding, sizeof(finding)) != (ssize_t)sizeof(finding) || !is_whole(&finding))
		return false;
	if (!is_current(&finding)) {
		unlinkat(directory, NETWORK_FINDING_FILE, 0);
		return false;
	}
	*out = (struct network_support){.has_hook = true,
					.has_ifb = finding.has_ifb,
					.has_netem = finding.has_netem,
					.has_netem_seed = finding.has_netem_seed};
	memcpy(out->netem_reason, finding.netem_reason, sizeof(out->netem_reason));
	return true;
}

static bool write_into(int fd, const struct finding *finding)
{
	return fd >= 0 && write(fd, finding, sizeof(*finding)) == (ssize_t)sizeof(*finding);
}

/* Without a name until it is whole: whoever dies in between leaves nothing. Others may do the same
 * at this moment, and theirs is as good. False: that file system has no nameless files. */
static bool keep_nameless(int directory, const struct finding *finding)
{
	cleanup_fd int fd = openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	if (!write_into(fd, finding))
		return false;
	unlinkat(directory, NETWORK_FINDING_FILE, 0);
	return linkat(fd, "", directory, NETWORK_FINDING_FILE, AT_EMPTY_PATH) == 0 ||
	       errno == EEXIST;
}

/* A file that was there already is not ours to write into: several may do this at once. */
static void keep_by_name(int directory, const struct finding *finding)
{
	cleanup_fd int fd = -1;
	char name[64];

	snprintf(name, sizeof(name), "." NETWORK_FINDING_FILE ".%d", (int)getpid());
	fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (!write_into(fd, finding) ||
	    renameat(directory, name, directory, NETWORK_FINDING_FILE) < 0)
		unlinkat(directory, name, 0);
}

void network_finding_keep(const struct network_support *found)
{
	cleanup_fd int directory = -1;
	struct finding finding;

	/* Without the hook nothing is injected, and speed does not matter. */
	if (!found->has_hook || (!found->has_netem && !found->lacks_netem_for_good)) {
		network_finding_forget();
		return;
	}
	memset(&finding, 0, sizeof(finding)); /* also what lies between: it is in the sum */
	finding.magic = MAGIC;
	finding.version = VERSION;
	finding.has_ifb = found->has_ifb;
	finding.has_netem = found->has_netem;
	finding.has_netem_seed = found->has_netem_seed;
	memcpy(finding.netem_reason, found->netem_reason, sizeof(finding.netem_reason));
	if (identify_kernel(&finding) < 0)
		return;
	if (!found->has_netem)
		look_at_modules(&finding);
	finding.crc = crc32_of(&finding, offsetof(struct finding, crc));
	directory = directory_open(state_directory, 0755, NULL);
	if (directory >= 0 && !keep_nameless(directory, &finding))
		keep_by_name(directory, &finding);
}

void network_finding_forget(void)
{
	cleanup_fd int directory = directory_open(state_directory, 0, NULL);

	if (directory >= 0)
		unlinkat(directory, NETWORK_FINDING_FILE, 0);
}
