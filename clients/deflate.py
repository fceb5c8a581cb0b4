"""permessage-deflate, as wsproto has it, with one mistake mended."""

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits


class Deflate(PerMessageDeflate):
    """wsproto forgets at a ping between two fragments that their message is compressed; here control frames pass by."""

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Return the reserved bits that the frame may have."""
        if not opcode.iscontrol() or rsv.rsv1:
            return super().frame_inbound_header(proto, opcode, rsv, payload_length)
        self._inbound_is_compressible = False
        return RsvBits(True, False, False)

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        """Return what is left of a message at the end of its last frame."""
        return super().frame_inbound_complete(proto, fin) if self._inbound_is_compressible else None
