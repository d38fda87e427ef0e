/* IDX files: images and labels. A part that begins with "gzip:" is compressed first: mutations of compressed
 * bytes hardly ever get past the checksum. */
#include <string.h>
#include <zlib.h>

#include "fuzz/data.h"
#include "fuzz/input.h"

static const char *place(int slot, fuzz_part part)
{
    static unsigned char packed[1 << 17];
    if (part.size < 5 || memcmp(part.data, "gzip:", 5) != 0 || part.size > sizeof packed / 2)
        return fuzz_file(slot, part.data, part.size);
    z_stream stream = {.next_in = (unsigned char *)part.data + 5, .avail_in = (uInt)(part.size - 5)};
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    fuzz_require(deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK,
                 "zlib can compress");
    fuzz_require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib can compress");
    size_t bytes = stream.total_out;
    deflateEnd(&stream);
    return fuzz_file(slot, packed, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_part parts[2];
    int count = fuzz_split(data, size, parts, 2);
    const char *images = place(0, parts[0]), *labels = count > 1 ? place(1, parts[1]) : images;
    yoke_data *opened;
    if (fuzz_accepted(yoke_data_from_idx(&opened, images, labels))) fuzz_read_all(opened);
    return 0;
}
