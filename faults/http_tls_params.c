/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Certificate, key and authorities of an `http` fault: files beside the experiment, read with the
 * rights of who wrote it. What goes on to the worker are the lines of those blocks that are meant,
 * checked by their form; what is in them squall-tls alone reads. No message shows any of it.
 */
#include "faults/http.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX     (1 << 20) /* of the authorities of a whole system */
#define LINE_LENGTH  76
#define BLOCK_BEGINS "-----BEGIN "
#define BLOCK_ENDS   "-----END "

/* One file. */
struct pem_file {
	struct params *params;
	unsigned key;	    /* the parameter */
	const char *path;   /* as in the experiment */
	const char *wanted; /* how the label of a block ends: "CERTIFICATE" */
	unsigned line;
	unsigned block; /* its first line; 0: between blocks */
	char label[40];
	bool is_wanted, is_padded;
	unsigned found;
};

static const struct {
	unsigned key;
	const char *wanted, *what, *remedy;
} kinds[] = {
	{HTTP_PARAM_TLS_CERTIFICATE, "CERTIFICATE", "no certificate",
	 "it begins with -----BEGIN CERTIFICATE-----; openssl x509 -inform der -in FILE makes that "
	 "of a binary one"},
	{HTTP_PARAM_TLS_KEY, "PRIVATE KEY", "no private key",
	 "it begins with -----BEGIN PRIVATE KEY-----; openssl pkey -inform der -in FILE makes that "
	 "of a binary one"},
	{HTTP_PARAM_TLS_CA, "CERTIFICATE", "no certificate",
	 "those of authorities begin with -----BEGIN CERTIFICATE-----"},
};

static int refuse(const struct pem_file *file, unsigned line, size_t column, const char *text,
		  struct error *err)
{
	return error_set(err, EINVAL, "%s:%u:%zu: %s", file->path, line, column + 1, text);
}

static bool has_end(const char *text, const char *end)
{
	size_t length = strlen(text), size = strlen(end);

	return length >= size && strcmp(text + length - size, end) == 0;
}

/* "-----BEGIN LABEL-----"; false: it is not such a line. */
static bool read_label(const char *line, const char *begins, char *out, size_t size)
{
	size_t length = strlen(line), prefix = strlen(begins);

	if (strncmp(line, begins, prefix) != 0 || !has_end(line, "-----") ||
	    length < prefix + 5 + 1 || length - prefix - 5 >= size)
		return false;
	snprintf(out, size, "%.*s", (int)(length - prefix - 5), line + prefix);
	return true;
}

static int refuse_encrypted(const struct pem_file *file, size_t column, struct error *err)
{
	refuse(file, file->line, column,
	       "the key is encrypted, and nobody can be asked for its "
	       "passphrase",
	       err);
	return error_remedy(err, "openssl pkey -in %.100s -out plain.key", file->path);
}

static int begin_block(struct pem_file *file, const char *line, struct error *err)
{
	if (!read_label(line, BLOCK_BEGINS, file->label, sizeof(file->label)))
		return strncmp(line, "-----", 5) == 0
			       ? refuse(file, file->line, 0, "no block of PEM begins like this",
					err)
			       : 0; /* text between them is */
	file->block = file->line;
	file->is_padded = false;
	file->is_wanted = has_end(file->label, file->wanted);
	file->found += file->is_wanted;
	if (file->is_wanted && strncmp(file->label, "ENCRYPTED", 9) == 0)
		return refuse_encrypted(file, strlen(BLOCK_BEGINS), err);
	return 0;
}

static int end_block(struct pem_file *file, const char *line, struct error *err)
{
	char label[40];

	if (!read_label(line, BLOCK_ENDS, label, sizeof(label)) || strcmp(label, file->label) != 0)
		return refuse(
			file, file->line, 0,
			"the block that is open here ends otherwise: by -----END and its name",
			err);
	file->block = 0;
	return 0;
}

static int check_base64(struct pem_file *file, const char *line, struct error *err)
{
	size_t length = strlen(line), good = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
							  "abcdefghijklmnopqrstuvwxyz"
							  "0123456789+/");
	size_t padding = strspn(line + good, "=");

	if (strncmp(line, "Proc-Type:", 10) == 0)
		return refuse_encrypted(file, 0, err);
	if (file->is_padded)
		return refuse(file, file->line, 0, "something follows the end of the base64", err);
	if (good + padding != length)
		return refuse(file, file->line, good + padding, "this is not base64", err);
	if (padding > 2 || length % 4)
		return refuse(file, file->line, length, "the line of base64 is cut off", err);
	if (length > LINE_LENGTH)
		return refuse(file, file->line, LINE_LENGTH, "the line is longer than PEM has them",
			      err);
	file->is_padded = padding > 0;
	return 0;
}

static int read_line(struct pem_file *file, char *line, struct error *err)
{
	size_t length = strcspn(line, "\r");
	int result;

	file->line++;
	line[length] = '\0';
	if (!file->block) {
		result = begin_block(file, line, err);
		if (!file->block)
			return result;
	} else if (strncmp(line, "-----", 5) == 0) {
		result = end_block(file, line, err);
	} else if (!length) {
		return 0;
	} else {
		result = file->is_wanted ? check_base64(file, line, err) : 0;
	}
	if (result < 0 || !file->is_wanted)
		return result;
	return params_add(file->params, file->key, line, 0, 0, err);
}

static int read_lines(struct pem_file *file, char *text, size_t length, struct error *err)
{
	int result = 0;

	if (memchr(text, '\0', length))
		return refuse(file, 1, 0, "this is no text: PEM is expected", err);
	for (char *at = text, *end; *at && result == 0; at = end) {
		end = strchrnul(at, '\n');
		if (*end)
			*end++ = '\0';
		result = read_line(file, at, err);
	}
	if (result == 0 && file->block)
		return refuse(file, file->block, 0, "this block has no end", err);
	return result;
}

static int load_one(struct params *params, unsigned kind, const struct fault_files *files,
		    struct error *err)
{
	struct pem_file file = {
		.params = params, .key = kinds[kind].key, .wanted = kinds[kind].wanted};
	cleanup_free char *path = NULL, *text = NULL;
	size_t length = 0;
	int result;

	if (!params_is_set(params, file.key))
		return 0;
	if (params_count(params, file.key) > 1)
		return error_set(err, EINVAL, "%s: one file", params->table[file.key].name);
	file.path = path = strdup(params_text(params, file.key));
	if (!path)
		return error_errno(err, ENOMEM, "%s", params->table[file.key].name);
	result = files->read(files->context, path, FILE_MAX, &text, &length, err);
	if (result < 0)
		return error_prefix(err, "%s", params->table[file.key].name);
	result = read_lines(&file, text, length, err);
	explicit_bzero(text, length);
	if (result == 0 && !file.found) {
		refuse(&file, 1, 0, kinds[kind].what, err);
		return error_remedy(err, "%s", kinds[kind].remedy);
	}
	if (result == 0 && file.key == HTTP_PARAM_TLS_KEY && file.found > 1)
		return refuse(&file, 1, 0, "there is more than one key in it", err);
	return result;
}

int http_tls_load(struct params *params, const struct fault_files *files, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < sizeof(kinds) / sizeof(*kinds); i++)
		result = load_one(params, i, files, err);
	return result;
}

bool http_tls_is_wanted(const struct params *params)
{
	return params_is_set(params, HTTP_PARAM_TLS_CERTIFICATE);
}

int http_tls_check(const struct params *params, struct error *err)
{
	bool has_certificate = params_is_set(params, HTTP_PARAM_TLS_CERTIFICATE);

	if (has_certificate != params_is_set(params, HTTP_PARAM_TLS_KEY)) {
		error_set(err, EINVAL, "%s: it needs %s",
			  has_certificate ? "tls-certificate" : "tls-key",
			  has_certificate ? "tls-key" : "tls-certificate");
		return error_remedy(err,
				    "a key and the certificate of it belong together; both may "
				    "be in one file");
	}
	if (!has_certificate && params_is_set(params, HTTP_PARAM_TLS_CA))
		return error_set(err, EINVAL, "tls-ca: it needs tls-certificate and tls-key");
	return 0;
}

char *http_tls_pem(const struct params *params, unsigned key, size_t *out_size)
{
	size_t size = 0, used = 0;
	char *text;

	for (unsigned i = 1; i < params_count(params, key); i++)
		size += strlen(params_value(params, key, i)->text) + 1;
	text = malloc(size + 1);
	for (unsigned i = 1; text && i < params_count(params, key); i++)
		used += (size_t)sprintf(text + used, "%s\n", params_value(params, key, i)->text);
	if (text)
		text[used] = '\0';
	*out_size = used;
	return text;
}
