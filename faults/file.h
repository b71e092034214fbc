/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the parts of the `file` fault: file.c (its life), file_content.c (the bad version),
 * file_swap.c (putting it in place and back), file_undo.c (from the journal), file_state.c (what
 * lies where), file_copy.c (making it), file_attributes.c (what tells an edit that shows nowhere
 * else), file_reload.c (telling who reads it), file_left.c (saying what is left).
 */
#ifndef SQUALL_FAULT_FILE_H
#define SQUALL_FAULT_FILE_H

#include "faults/fault.h"
#include "faults/file_place.h"

#define FILE_FAULT_NAME "file"

enum file_fault_param {
	FILE_TARGET,
	FILE_CONTENT,
	FILE_CONTENT_FROM,
	FILE_PATTERN,
	FILE_WITH,
	FILE_TRUNCATE,
	FILE_CORRUPT,
	FILE_CORRUPT_BYTES,
	FILE_SEED,
	FILE_OVERSIZE,
	FILE_OWNER,
	FILE_GROUP,
	FILE_MODE,
	FILE_RELOAD_SIGNAL,
	FILE_RELOAD_PIDFILE,
	FILE_RELOAD_UNIT,
	FILE_RELOAD_COMMAND,
};
extern const struct param file_fault_params[]; /* file_params.c */

/* The bad version. `bytes` once, and again and again until there are grow_to of them. */
struct file_content {
	char *bytes; /* owned */
	size_t size, grow_to;
	uint32_t mode, uid, gid;
	char words[200]; /* what was done, for the plan */
};

/* file_explain.c: fault_ops.explain */
void file_explain(const struct params *params, char *out, size_t size);

enum file_reload_kind {
	FILE_RELOAD_NONE,
	FILE_RELOAD_BY_SIGNAL,
	FILE_RELOAD_BY_UNIT,
	FILE_RELOAD_BY_COMMAND,
};

enum file_record_type {
	FILE_RECORD_COPY = 1,	   /* a copy is made beside the file */
	FILE_RECORD_SWAP = 2,	   /* copy and file change places */
	FILE_RECORD_DIRECTORY = 3, /* times of the directory */
	FILE_RECORD_MOUNT = 4,	   /* a copy is mounted over it in a mount namespace */
};

enum file_way {
	FILE_BY_EXCHANGE, /* RENAME_EXCHANGE */
	FILE_BY_LINK,	  /* no exchange here: a link keeps the original, a rename replaces it */
};
#define FILE_KEPT_BY_LINK "o" /* the name of the copy, and this */

uint32_t file_boot_crc(void); /* 0: it cannot be told */

/* Payload of the undo records. Its text (path, NUL, and pid file, unit, or "UID:GID" and the
 * arguments of a command, NUL after each) lies in `text`, or, when it is longer, beside the journal
 * in "file-STEP". */
struct file_record {
	char run_id[RUN_ID_SIZE];
	uint32_t step, text_size, text_crc, is_beside;
	uint32_t way, reload, reload_number; /* the signal, or number of the command */
	uint32_t boot_crc; /* of the boot's identifier: after another one nobody needs to be told */
	struct file_identity directory, original, copy; /* copy: not of FILE_RECORD_COPY */
	int64_t directory_after_ns;			/* FILE_RECORD_DIRECTORY: mtime */
	uint64_t namespace_inode;			/* FILE_RECORD_MOUNT */
	char text[192];
};
_Static_assert(sizeof(struct file_record) <= JOURNAL_PAYLOAD, "it fits a record");

#define FILE_TEXT_MAX	 (2 * PATH_MAX)
#define FILE_COMMAND_MAX 3072 /* bytes of all arguments: path and they fit into the text */

/* A record as it was read back. */
struct file_swap {
	struct file_record record;
	char text[FILE_TEXT_MAX];
	const char *path, *reload_by; /* into text */
	struct fault_command command; /* FILE_RELOAD_BY_COMMAND; argv into text */
	/* names in the directory of the file: the copy, and what the original is kept as */
	char copy_name[NAME_MAX + 1], kept_name[NAME_MAX + 1];
};

/* Who was told of it, and mount namespaces, ended with that boot. What cannot be told is of this
 * one. */
bool file_is_of_another_boot(const struct file_swap *swap);

/* file_content.c: 0, or what is wrong with the parameters (of a file, of this machine's users). */
int file_content_check(const struct params *params, struct error *err);
/* Builds it from the file's own content in `fd`; `seed` for what is left to chance. */
int file_content_build(const struct params *params, uint64_t seed, uint32_t reader, int fd,
		       const struct file_identity *original, struct file_content *out,
		       struct error *err);
void file_content_free(struct file_content *content);
/* file_edit.c: one way of making it worse each. */
int file_edit_replace(const char *pattern, const char *with, struct file_content *content,
		      struct error *err);
void file_edit_corrupt(uint64_t count, uint64_t seed, struct file_content *content);

/* file_copy.c: the copy beside the file, whole and on the disk. *out_fd is the caller's. */
int file_copy_make(const struct file_place *place, const char *name, int original,
		   const struct file_identity *identity, const struct file_content *content,
		   int *out_fd, struct file_identity *out, struct error *err);
/* RENAME_EXCHANGE; a function of its own, so that a test can take it away. */
int file_exchange(int directory, const char *a, const char *b);

/* file_swap.c */
void file_swap_name(struct file_swap *swap);
int file_swap_inject(struct file_swap *swap, const struct file_place *place, int original,
		     const struct file_content *content, struct journal *journal, int *out_copy,
		     struct error *err);
/* The original back in its place, if the copy is there untouched: 1; 0: there was nothing to do.
 * The rest is left to file_swap_undo(). */
int file_swap_end(const struct file_swap *swap, const struct file_place *place, struct error *err);
/* The way back, of what file_judge() calls FILE_SWAPPED. */
int file_swap_out(const struct file_swap *swap, const struct file_place *place, struct error *err);
/* -ESTALE with a sentence: the bad version is not there any more, or was changed. */
int file_swap_look(const struct file_swap *swap, const struct file_place *place, struct error *err);

/* file_undo.c: of any record of this fault */
/* fault_ops.undo_effect: the file is back, and the command for it is started. */
void file_swap_undo_effect(const struct journal_record *record);
int file_swap_undo(const struct journal_record *record, struct error *err);
int file_swap_verify(const struct journal_record *record, bool *out_gone, char *out_left,
		     size_t left_size, struct error *err);

/* file_state.c */
enum file_lies {
	FILE_NOTHING,
	FILE_ORIGINAL,
	FILE_COPY, /* ours, untouched */
	FILE_COPY_EDITED,
	FILE_SOMEBODYS, /* anything else */
};
/* In its place, and under the names beside it; with FILE_BY_EXCHANGE `kept` and `copy` are one. */
struct file_seen {
	enum file_lies here, kept, copy, aside;
};
enum file_state_now {
	FILE_SETTLED, /* the original, and nothing of ours; or somebody has settled it */
	FILE_UNTIDY,  /* the original, with our copy still beside it: reload, then remove that */
	FILE_UNTIDY_EDITED, /* the same, and our copy was changed by somebody */
	FILE_FOREIGN,	    /* the original, and what lies in the place of our copy is not ours */
	FILE_STRAY,	    /* somebody else's file, or none, with our copy still beside it */
	FILE_STRAY_EDITED,  /* the same, and our copy was changed by somebody */
	FILE_STRANGE,	    /* the same, and what lies under one of our names is not recognized */
	FILE_ASIDE,	    /* not our copy, and beside it an edit of that, kept */
	FILE_SWAPPED,	    /* our copy, untouched, and the original beside it */
	FILE_EDITED,	    /* our copy, changed by somebody; the original beside it */
	FILE_REPLACED,	    /* somebody else's file; the original beside it */
	FILE_REMOVED,	    /* no file; the original beside it */
	FILE_LOST,	    /* our copy, and the original is gone */
	FILE_EDITED_LOST,   /* the same, changed by somebody */
	FILE_COPY_LEFT,	    /* of FILE_RECORD_COPY: our copy, beside whatever is there */
};
/* enum file_state_now, of FILE_RECORD_SWAP (never FILE_COPY_LEFT); -errno: it cannot be told, and
 * must not pass for anything. */
int file_judge(const struct file_swap *swap, const struct file_place *place, struct file_seen *out,
	       struct error *err);
/* The same without ever opening the copy: who opens it is counted. Of an edit whose size and time
 * were set back it does not know. */
int file_judge_unread(const struct file_swap *swap, const struct file_place *place,
		      struct file_seen *out, struct error *err);
/* Of an unchanged copy of ours; `other` is where the original lies. */
bool file_has_our_content(const struct file_swap *swap, const struct file_place *place,
			  const char *name, const char *other);
/* What lies under a name beside the file: 1, and *out; 0: nothing; -errno: it cannot be told. */
int file_look(const struct file_swap *swap, const struct file_place *place, const char *name,
	      struct file_identity *out, struct error *err);
/* What an edit is kept as that came too late to be left where it was. */
void file_aside_name(const struct file_swap *swap, char out[NAME_MAX + 1]);

/* file_left.c */
/* A sentence with what to type; without a command where it would not fit, or where what is not ours
 * is in the way. */
void file_left_say(const struct file_swap *swap, enum file_state_now state,
		   const struct file_seen *seen, char *out, size_t size);

/* file_mount.c: for the processes of one mount namespace alone (see file_seat.h). */
/* As file_place_open(), seen from inside of the namespace; -1: from here. */
int file_mount_place(const char *path, int namespace, struct file_place *out, struct error *err);
/* A mount there would stay there: -EPERM if not. */
int file_mount_check(const struct file_place *place, int namespace, struct error *err);
int file_mount_inject(struct file_swap *swap, const struct file_place *place, int namespace,
		      int original, const struct file_content *content, struct journal *journal,
		      int *out_copy, struct error *err);
/* -ESTALE with a sentence, as file_swap_look(). */
int file_mount_look(const struct file_swap *swap, const struct file_place *place,
		    struct error *err);
int file_mount_undo(const struct file_swap *swap, struct error *err);
int file_mount_verify(const struct file_swap *swap, bool *out_gone, char *out_left,
		      size_t left_size, struct error *err);

/* file_record.c */
int file_record_write(struct file_swap *swap, enum file_record_type type, struct journal *journal,
		      struct error *err);
int file_record_read(const struct journal_record *record, struct file_swap *out, struct error *err);
/* Another run, or an earlier step of this one, has its hands on it: -EBUSY. */
int file_record_conflict(const struct file_place *place, bool exchanges, struct error *err);

/* file_reload.c */
int file_reload_check(const struct params *params, struct error *err);
/* fault_ops.command */
bool file_reload_argv(const struct params *params, char *argv[FAULT_COMMAND_ARGUMENTS + 1]);
/* Who is told, into record and text; `path` comes first. */
int file_reload_fill(const struct fault *fault, const char *path, struct file_swap *out,
		     struct error *err);
/* argv from the text, of a record that was read. -EBADMSG */
int file_reload_parse(struct file_swap *swap, struct error *err);
/* Is there somebody to be told? Tells nobody yet. */
int file_reload_probe(const struct file_swap *swap, struct error *err);
/* Starts the command, if that is how it is told: then file_reload() waits for its end. */
int file_reload_start(const struct file_swap *swap, struct error *err);
/* Tells whoever reads the file. Nobody there to be told is success. */
int file_reload(const struct file_swap *swap, struct error *err);
/* The same in words: "SIGHUP to the process of /run/nginx.pid", or a command to type. */
void file_reload_describe(const struct file_swap *swap, char *out, size_t size);
#define FILE_RELOAD_TYPED 1024 /* what is longer would not be shown anyway */
enum file_typing {
	FILE_TYPE_NOTHING,  /* nobody is to be told (any more) */
	FILE_TYPE_COMMAND,  /* `out` */
	FILE_TYPE_NEVER,    /* squall itself may not, or cannot: `err` says why */
	FILE_TYPE_TOO_LONG, /* nothing that comes with it may be shown without it */
};
/* As root types it, after the same checks as of file_reload(): whom a file names is not obeyed. */
enum file_typing file_reload_command(const struct file_swap *swap, char out[FILE_RELOAD_TYPED],
				     struct error *err);

#endif
