/* Spaces of ONNX models. */
#include "io/formats/format.h"
#include "io/graph/graph.h"
#include "nft/file.h"

#include <inttypes.h>

static void tell_strange(const nft_file *model, const nft_graph *graph)
{
    if (graph->strange)
        nft_log(NFT_LOG_WARNING,
                "%s: %" PRId64
                " operators of the graph, '%s' the first, are not understood; the axes that pass "
                "through them are ordered",
                model->path, graph->strange, graph->strange_op);
}

nft_status nft_graph_space(nft_space **space, const nft_file *model, const nft_file *weights)
{
    nft_graph graph = {0};
    *space = NULL;
    nft_status status = nft_graph_read(&graph, &model->source, weights);
    if (!status && graph.node_count) {
        status = nft_graph_make_space(space, &graph);
        if (!status)
            tell_strange(model, &graph);
    }
    nft_graph_clear(&graph);
    return status;
}

static nft_status open_model(nft_file **model, const char *path)
{
    nft_status status = nft_file_open_within(model, path, 0);
    if (!status && (*model)->format != &nft_format_onnx)
        status = nft_fail(NFT_ERROR_FORMAT, "%s: this is a file of %s, expected a model in ONNX", path,
                          (*model)->format->name);
    return status;
}

nft_status nft_space_from_onnx(nft_space **space, const char *model_path, const char *weights_path)
{
    nft_file *model = NULL, *weights = NULL;
    if (!space || !model_path)
        return nft_fail_null("nft_space_from_onnx", space ? "model_path" : "space");
    *space = NULL;
    nft_status status = open_model(&model, model_path);
    if (!status && weights_path)
        status = nft_file_open_within(&weights, weights_path, 0);
    if (!status) {
        status = nft_graph_space(space, model, weights);
        if (!status && !*space)
            status = nft_fail(NFT_ERROR_FORMAT, "its graph has no operators");
        if (status)
            nft_fail_in(status, "%s", model_path);
    }
    nft_file_free(weights);
    nft_file_free(model);
    return status;
}
