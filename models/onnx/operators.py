"""What a graph may hold: operators by name, and nothing that is not in the file.

Data run no code, but they can draw noise that is not ours, loop for ever or read other files. ONNX Runtime
refuses some of that and runs the rest, so graphs are looked through before they are loaded.
"""

from collections.abc import Iterator
from pathlib import Path

import onnx
from rdserve.models.onnx.graph import GraphError

# Deterministic and without control flow, of the standard domain.
ALLOWED = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast
    CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum
    DepthToSpace Div Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements
    GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization
    HardSigmoid HardSwish Identity InstanceNormalization LSTM LayerNormalization LeakyRelu Less
    LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mish Mod Mul Neg Not OneHot Or PRelu Pad Pow
    RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND Selu Shape
    Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum
    Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
    """.split()  # noqa: SIM905
)
_STANDARD = ("", "ai.onnx")
# ONNX Runtime has no kernels for some of what half precision needs, and says so only when it loads.
_HALF = (onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT16)


def check_operators(path: Path) -> int:
    """The graph's opset.

    Raises:
        GraphError: no ONNX file, an operator outside ALLOWED, data outside the file, half precision.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's and onnx's own share no class
        raise GraphError(f"{path.name}: no ONNX file: {str(error)[:200]}") from None
    for node in _nodes(model):
        if node.domain not in _STANDARD or node.op_type not in ALLOWED:
            raise GraphError(f"{path.name}: {_refusal(node)}")
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise GraphError(
                f"{path.name}: tensor {tensor.name!r} lies in another file; save all data inside the graph "
                "(external_data=False)"
            )
        if tensor.data_type in _HALF:
            kind = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
            raise GraphError(f"{path.name}: tensor {tensor.name!r} is {kind}; call .float() before exporting")
    return max((each.version for each in model.opset_import if each.domain in _STANDARD), default=0)


def _refusal(node: onnx.NodeProto) -> str:
    name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    if node.op_type.startswith("Random") or node.op_type in ("Bernoulli", "Multinomial", "Dropout"):
        return (
            f"operator {name} draws noise of its own, which nobody could draw again; return the law's "
            "parameters, or take the noise as the input eps"
        )
    if node.op_type in ("Loop", "Scan", "If", "SequenceMap"):
        return f"operator {name} is control flow, which is not run; write the computation out"
    return f"operator {name} is not among those that are run: {', '.join(sorted(ALLOWED))}"


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Of the graph and of the functions it calls. What has graphs inside is not allowed anyway."""
    yield from model.graph.node
    for function in model.functions:
        yield from function.node


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
