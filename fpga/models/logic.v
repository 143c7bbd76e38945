// Logic of ECP5 slices.
//
// Source: Lattice FPGA-DS-02012, "ECP5 and ECP5-5G Family" (slices, modes of operation). Pin and parameter names are those of the
// netlist. All are combinational.

// Any function of four bits: INIT holds its values, D the highest bit of the index.
module LUT4 #(
    parameter [15:0] INIT = 16'h0000
) (
    input A, B, C, D,
    output Z
);
    assign Z = INIT[{D, C, B, A}];
endmodule

// Two LUT4s with a carry chain through them, from CIN by bit 0 and bit 1 to COUT.
//
// A bit's LUT4 says whether the carry goes on (1) or is made anew (0); made anew, it is the value of the quarter of the table with
// C = D = 0. The sum is the LUT4's value, inverted by the carry that comes in. INJECT1 "YES" cuts the chain; no netlist of ours does.
module CCU2C #(
    parameter [15:0] INIT0 = 16'h0000,
    parameter [15:0] INIT1 = 16'h0000,
    parameter INJECT1_0 = "YES",
    parameter INJECT1_1 = "YES"
) (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    if (INJECT1_0 != "NO" || INJECT1_1 != "NO") $fatal(1, "CCU2C: INJECT1 must be NO");

    wire on0 = INIT0[{D0, C0, B0, A0}];
    wire on1 = INIT1[{D1, C1, B1, A1}];
    wire carry = on0 ? CIN : INIT0[{2'b00, B0, A0}];
    assign COUT = on1 ? carry : INIT1[{2'b00, B1, A1}];
    assign S0 = on0 ^ CIN;
    assign S1 = on1 ^ carry;
endmodule

// Multiplexer of the two LUT4s of a slice.
module PFUMX (
    input ALUT, BLUT, C0,
    output Z
);
    assign Z = C0 ? ALUT : BLUT;
endmodule

// Multiplexer of two PFUMX, or of two of its own kind.
module L6MUX21 (
    input D0, D1, SD,
    output Z
);
    assign Z = SD ? D1 : D0;
endmodule
