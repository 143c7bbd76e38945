// Registers of ECP5 slices: the flip-flop and the distributed memory.
//
// Source: Lattice FPGA-DS-02012, "ECP5 and ECP5-5G Family" (slices). Configuration sets every flip-flop to its REGSET; GSR, the net
// that could do so again later, is not used by our designs, so that the parameter GSR says nothing here.

// Flip-flop. LSR sets Q to what REGSET says: at the edge, enabled or not (SRMODE LSR_OVER_CE), or at once (ASYNC).
// The input M, and the preload that it is for, are not modelled.
module TRELLIS_FF #(
    parameter GSR = "ENABLED",
    parameter CEMUX = "1",
    parameter CLKMUX = "CLK",
    parameter LSRMUX = "LSR",
    parameter REGSET = "RESET",
    parameter SRMODE = "LSR_OVER_CE"
) (
    input CLK, DI, CE, LSR,
    output reg Q
);
    if (CEMUX != "1" && CEMUX != "CE" && CEMUX != "INV") $fatal(1, "TRELLIS_FF: CEMUX must be 1, CE or INV");
    if (CLKMUX != "CLK" && CLKMUX != "INV") $fatal(1, "TRELLIS_FF: CLKMUX must be CLK or INV");
    if (LSRMUX != "LSR" && LSRMUX != "INV") $fatal(1, "TRELLIS_FF: LSRMUX must be LSR or INV");
    if (REGSET != "RESET" && REGSET != "SET") $fatal(1, "TRELLIS_FF: REGSET must be RESET or SET");
    if (SRMODE != "LSR_OVER_CE" && SRMODE != "ASYNC") $fatal(1, "TRELLIS_FF: SRMODE must be LSR_OVER_CE or ASYNC");

    localparam VALUE = REGSET == "SET";
    wire enable = CEMUX == "1" ? 1'b1 : CEMUX == "CE" ? CE : !CE;
    wire set = LSRMUX == "LSR" ? LSR : !LSR;

    initial Q = VALUE;
    // Written out four times, because a clock that is computed makes the whole simulation slow.
    if (SRMODE == "ASYNC" && CLKMUX == "CLK") begin
        always @(posedge CLK or posedge set) if (set) Q <= VALUE; else if (enable) Q <= DI;
    end else if (SRMODE == "ASYNC") begin
        always @(negedge CLK or posedge set) if (set) Q <= VALUE; else if (enable) Q <= DI;
    end else if (CLKMUX == "CLK") begin
        always @(posedge CLK) if (set) Q <= VALUE; else if (enable) Q <= DI;
    end else begin
        always @(negedge CLK) if (set) Q <= VALUE; else if (enable) Q <= DI;
    end
endmodule

// Distributed memory of 16 words of 4 bits: DI is written to WAD at the edge of WCK if WRE; DO shows the word at RAD at once.
module TRELLIS_DPR16X4 #(
    parameter WCKMUX = "WCK",
    parameter WREMUX = "WRE",
    parameter [63:0] INITVAL = 64'h0
) (
    input [3:0] DI, WAD, RAD,
    input WRE, WCK,
    output [3:0] DO
);
    if (WCKMUX != "WCK") $fatal(1, "TRELLIS_DPR16X4: WCKMUX must be WCK");
    if (WREMUX != "WRE") $fatal(1, "TRELLIS_DPR16X4: WREMUX must be WRE");

    reg [3:0] words [0:15];
    initial for (int i = 0; i < 16; i = i + 1) words[i] = INITVAL[4 * i +: 4];
    always @(posedge WCK) if (WRE) words[WAD] <= DI;
    assign DO = words[RAD];
endmodule
